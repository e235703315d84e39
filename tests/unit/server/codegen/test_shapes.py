"""Shapes: what travels, read from Python's types."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest

from schema.images import Image
from schema.moderation import AuditEntry
from schema.paging import Page
from schema.values import Id
from server.codegen.shapes import (
    NULL,
    Either,
    Field,
    IdOf,
    ListOf,
    MapOf,
    OneOf,
    PageOf,
    PageWanted,
    Plain,
    Record,
    everything_in,
    fields_given,
    record_of,
    shape_of,
)
from tests.unit.server.codegen.shop import Till, Ware


@pytest.mark.parametrize(
    ("annotation", "shape"),
    [
        (None, NULL),
        (bool, Plain("boolean")),
        (int, Plain("integer")),
        (float, Plain("number")),
        (Annotated[str, msgspec.Meta(max_length=3)], Plain("string")),
        (Id[Image], IdOf("images", "Image")),
        (Literal["a", "b"], OneOf(("a", "b"))),
        (list[int], ListOf(Plain("integer"))),
        (dict[str, bool], MapOf(Plain("boolean"))),
        (str | None, Either((Plain("string"), NULL))),
        (Page[Ware], PageOf(record_of(Ware))),
        (Ware | Till | None, Either((record_of(Ware), record_of(Till), NULL))),
    ],
)
def test_a_type_has_a_shape(annotation: object, shape: object) -> None:
    assert shape_of(annotation) == shape


@pytest.mark.parametrize("annotation", [object, dict[int, str], set[int], Literal[1, 2], complex])
def test_what_no_client_could_be_told_of_is_refused(annotation: object) -> None:
    with pytest.raises(TypeError):
        shape_of(annotation)


def test_an_id_of_no_table_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Id\[Ware\]"):
        shape_of(Id[Ware])


def test_what_is_none_is_absent_and_said_where_a_struct_says_it() -> None:
    (*_, sold_at) = record_of(Ware).fields
    assert sold_at == Field("sold_at", "soldAt", Plain("number"), is_optional=True)
    (*_, looked_at) = record_of(Till).fields
    assert looked_at == Field("looked_at", "lookedAt", Either((Plain("number"), NULL)), is_optional=False)


def test_a_document_knows_its_table_and_its_own_names() -> None:
    record = record_of(AuditEntry)
    assert (record.table, record_of(Ware).table) == ("auditLog", "")
    assert [field.wire_name for field in record.fields][:3] == ["_id", "_creationTime", "actor"]
    assert not record.fields[0].is_optional


def test_what_is_given_may_be_left_out_where_it_has_a_default() -> None:
    class Given(msgspec.Struct, rename="camel"):
        user_name: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
        how_many: Annotated[int, msgspec.Meta(ge=1)] = 3
        at_most: Annotated[float, msgspec.Meta(le=5)] | None = None

    assert fields_given(Given) == (
        Field("user_name", "userName", Plain("string"), is_optional=False, bounds="1 to 2,000 characters"),
        Field("how_many", "howMany", Plain("integer"), is_optional=True, bounds="at least 1"),
        Field("at_most", "atMost", Either((Plain("number"), NULL)), is_optional=True, bounds="at most 5"),
    )


def test_everything_in_a_shape_comes_from_the_inside_out() -> None:
    inside = list(everything_in(PageOf(ListOf(OneOf(("a",))))))
    assert [type(each) for each in inside] == [OneOf, ListOf, PageOf]
    assert list(everything_in(PageWanted())) == [PageWanted()]
    names = [each.name for each in everything_in(shape_of(Page[Ware])) if isinstance(each, Record)]
    assert names == ["Ware"]
