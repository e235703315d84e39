"""Reading answers into a generated client's records."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from schema.paging import Page
from server.codegen.reading import Record, given, read, wanted


class Small(Record, frozen=True, kw_only=True):
    id: str
    how_many: int
    seen_at: float | None = None


class Large(Record, frozen=True, kw_only=True):
    id: str
    how_many: int
    user_id: str | None = None
    seen_at: float | None = None


def test_numbers_have_one_kind_on_the_wire_and_two_here() -> None:
    assert read(Raw(b'{"_id": "a", "howMany": 3.0, "seenAt": 4.0, "new": 1.0}'), Small) == Small(
        id="a", how_many=3, seen_at=4.0
    )
    page = read(Raw(b'{"page": [1.0], "isDone": true, "continueCursor": "c"}'), Page[int])
    assert page == Page(page=[1], is_done=True, continue_cursor="c")
    assert read(Raw(b"null"), None) is None


def test_another_idea_of_the_shape_is_said() -> None:
    with pytest.raises(msgspec.ValidationError):
        read(Raw(b'{"_id": "a"}'), Small)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b'{"_id": "a", "howMany": 1.0}', Small),
        (b'{"_id": "a", "howMany": 1.0, "seenAt": 2.0}', Small),
        (b'{"_id": "a", "howMany": 1.0, "userId": "u"}', Large),
        (b'{"_id": "a", "howMany": 1.0, "userId": "u", "new": 1.0}', Large),
        (b"null", type(None)),
    ],
)
def test_of_several_records_the_one_that_fits_closest(answer: bytes, kind: type) -> None:
    assert type(read(Raw(answer), Large | Small | None)) is kind


def test_a_union_without_records_is_itself() -> None:
    assert read(Raw(b"3.0"), int | str | None) == 3
    assert read(Raw(b'"a"'), str | None) == "a"


def test_what_is_not_given_is_left_to_the_server() -> None:
    assert given(a=1, b=None, c=False) == {"a": 1, "c": False}
    assert wanted(3, None) == {"numItems": 3, "cursor": None}
