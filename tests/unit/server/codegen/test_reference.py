"""The reference page: a section for each function, a shape for each record."""

from __future__ import annotations

from server.codegen.manifest import Manifest
from server.codegen.reference import reference_page
from tests.unit.server.codegen import shop

PAGE = reference_page(shop.manifest())


def test_a_function_has_a_section() -> None:
    assert (
        """
### shop:buy

Buy.

A mutation for the signed-in, at most 5 a minute each. Returns `Till`.

| argument | type | taken |
|---|---|---|
| `word` | `string` | 1 to 2,000 characters |
| `count` | `number` | 1 to 1,000 |
| `tip?` | `number \\| null` | any |
"""
        in PAGE
    )
    assert "| `paginationOpts` | `PaginationOptions` | 1 to 1,000 items |" in PAGE
    assert "One of them, or what `soldAt` says." in PAGE


def test_a_shape_is_drawn_once() -> None:
    assert PAGE.count("### Ware\n") == 1
    assert '### AuditEntry, `Doc<"auditLog">`\n' in PAGE
    assert "  soldAt?: number;\n" in PAGE


def test_pages_are_explained_where_there_are_any() -> None:
    assert "## Pages" in PAGE
    nothing = reference_page(Manifest((), (), (), ()))
    assert "## Pages" not in nothing
    assert "## Shapes" not in nothing
