"""Small values: ids that are strings, times in milliseconds, names on the wire, numbers of one kind."""

from __future__ import annotations

import math

import msgspec
import pytest

from schema.values import ZERO, Id, camel, days, hours, integral, minutes, seconds, wire_name


class Photo:
    """Stands for a document class."""


class Holder(msgspec.Struct):
    photo: Id[Photo]
    other: Id[Photo] | None = None


def test_an_id_is_a_string_at_run_time() -> None:
    made: Id[Photo] = Id("abc")
    assert made == "abc"
    assert type(made) is str


def test_an_id_decodes_and_encodes_as_a_string() -> None:
    held = msgspec.json.decode(b'{"photo":"p1","other":"p2"}', type=Holder)
    assert held == Holder(Id("p1"), Id("p2"))
    assert msgspec.json.encode(held) == b'{"photo":"p1","other":"p2"}'


@pytest.mark.parametrize("value", ['""', f'"{"x" * 65}"', "7", "null"])
def test_what_cannot_be_an_id_is_refused(value: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(f'{{"photo":{value}}}', type=Holder)


def test_an_annotation_remembers_its_document() -> None:
    remembered = [Id[Photo].__metadata__[0], Id["Later"].__metadata__[0]]  # type: ignore[attr-defined, name-defined]
    assert [each.extra for each in remembered] == [{"id_of": "Photo"}, {"id_of": "Later"}]


def test_spans_are_milliseconds() -> None:
    assert ZERO == 0
    assert [seconds(1.5), minutes(1), hours(1), days(1)] == [1_500, 60_000, 3_600_000, 86_400_000]


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("id", "_id"),
        ("creation_time", "_creationTime"),
        ("user_id", "userId"),
        ("disabled_by_admin_at", "disabledByAdminAt"),
        ("credits", "credits"),
    ],
)
def test_wire_names(name: str, wire: str) -> None:
    assert wire_name(name) == wire


def test_camel_knows_no_exceptions() -> None:
    assert [camel("get_public_gallery"), camel("id"), camel("creation_time")] == [
        "getPublicGallery",
        "id",
        "creationTime",
    ]


def test_integral_turns_whole_floats_into_ints_deeply() -> None:
    given = {"a": 2.0, "b": [1.5, -3.0, {"c": 0.0}], "d": "2.0", "e": True, "f": None, "g": 7}
    made = integral(given)
    assert made == given
    assert repr(made) == "{'a': 2, 'b': [1.5, -3, {'c': 0}], 'd': '2.0', 'e': True, 'f': None, 'g': 7}"


def test_integral_leaves_what_is_not_whole() -> None:
    assert integral(math.inf) == math.inf
    assert integral(-math.inf) == -math.inf
    found = integral(math.nan)
    assert isinstance(found, float)
    assert math.isnan(found)
