"""The Python client: the text. `tests/wire/test_generated_client.py` checks its types and uses it."""

from __future__ import annotations

import ast

import pytest

from server.codegen.manifest import manifest_of
from server.codegen.python_client import MAX_COLUMNS, Group, laid_out, python_client, type_text
from server.codegen.shapes import MapOf, PageWanted, Plain
from server.functions import published
from tests.unit.server.codegen import shop

TEXT = python_client(shop.manifest())


def test_a_shape_is_a_record() -> None:
    assert (
        '''
class Ware(Record, frozen=True, kw_only=True):
    """A ware. `sold_at` is missing until it is sold."""

    ware_id: ImageId
    colours: list[Literal["green", "red"] | None]
    stock: dict[str, int]
    sold_at: float | None = None
'''
        in TEXT
    )
    assert "    looked_at: float | None\n" in TEXT


def test_a_query_is_live() -> None:
    assert "    def get_log(self) -> Live[list[AuditEntry]]:\n" in TEXT
    assert "(self, *, ware_id: ImageId) -> Live[Ware | Till | None]:\n" in TEXT
    assert "num_items: int, cursor: str | None = None, colour: " in TEXT.replace(",\n        ", ", ")
    assert '            {"paginationOpts": wanted(num_items, cursor), **given(colour=colour)},\n' in TEXT


def test_a_mutation_is_awaited() -> None:
    assert "    async def buy(self, *, word: str, count: int, tip: float | None = None) -> Till:\n" in TEXT
    assert '{"word": word, "count": count, **given(tip=tip)}' in TEXT
    assert 'await Call[None](self._connection, "action", "shop:send", given(note=note), None)' in TEXT


def test_it_is_python_whatever_a_docstring_holds() -> None:
    module = ast.parse(TEXT)
    (made,) = (each for each in module.body if isinstance(each, ast.ClassDef) and each.name == "Shop")
    docs = {each.name: ast.get_docstring(each) for each in made.body if isinstance(each, ast.FunctionDef)}
    assert (docs["get_wares"] or "").startswith('The wares; */ does not end this comment, nor do """ or \\ end')
    assert (docs["get_ware"] or "").splitlines()[2:] == ["A second paragraph.", "", "A query for the signed-in."]


def test_what_does_not_fit_is_broken_between_its_parts() -> None:
    inner = Group("given(", ("x" * 60, "y" * 60), ")")
    assert laid_out(Group("f(", ("a", inner), ")"), "  ") == [
        *("  f(", "      a,", "      given(", f"          {'x' * 60},", f"          {'y' * 60},", "      ),", "  )"),
    ]
    assert laid_out(Group("f(", ("a", "b"), ")"), "") == ["f(a, b)"]


def test_types() -> None:
    assert type_text(MapOf(Plain("bytes"))) == "dict[str, bytes]"
    with pytest.raises(TypeError):
        type_text(PageWanted())


def test_every_published_function_is_there() -> None:
    text = python_client(manifest_of(published()))
    assert all(f" def {each.handler.__name__}(" in text for each in published())
    assert all(len(line) <= MAX_COLUMNS for line in text.splitlines())
