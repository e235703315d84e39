"""The manifest: every function, and the documents and ids that they speak of."""

from __future__ import annotations

from types import ModuleType

import msgspec
import pytest

from server.codegen.manifest import DATA_MODEL, manifest_of
from server.context import Anyone, Query
from server.functions import published
from server.registry import Registry, query
from tests.unit.server.codegen import shop


def test_functions_come_in_the_order_of_publication() -> None:
    manifest = shop.manifest()
    assert list(manifest.modules) == ["shop"]
    assert [each.name for each in manifest.modules["shop"]] == ["getWares", "getWare", "getLog", "buy", "send"]
    assert repr(manifest) == "<Manifest 5 functions>"


def test_who_may_call_and_how_often_is_a_sentence() -> None:
    assert [each.audience for each in shop.manifest().operations] == [
        "A query for everybody.",
        "A query for the signed-in.",
        "A query for administrators.",
        "A mutation for the signed-in, at most 5 a minute each.",
        "An action for the signed-in, at most 1 in 10 seconds each.",
    ]


def test_records_come_once_and_documents_where_they_are_returned() -> None:
    manifest = shop.manifest()
    assert [each.name for each in manifest.records] == ["Ware", "Till"]
    assert {each.table for each in manifest.documents} == {*DATA_MODEL, "auditLog"}
    assert "images" in {each.table for each in manifest.ids}


def test_two_shapes_of_one_name_are_refused() -> None:
    other = msgspec.defstruct("Image", [("size", int)])

    async def get_it(ctx: Query[Anyone]) -> other:  # type: ignore[valid-type]
        """Get it."""

    get_it.__annotations__["return"] = other
    module = ModuleType(__name__)
    setattr(module, "get_it", query(get_it))  # noqa: B010
    registry = Registry()
    registry.publish("things", module)
    with pytest.raises(TypeError, match="same name: Image"):
        manifest_of(registry)


def test_the_product_has_all_of_its_functions() -> None:
    manifest = manifest_of(published())
    assert [each.path for each in manifest.operations] == [each.path for each in published()]
