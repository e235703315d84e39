"""`docs/functions.md` is drawn from the functions; it must be what they are now."""

from __future__ import annotations

from server.codegen.manifest import manifest_of
from server.codegen.reference import REDRAW, reference_page
from server.functions import published
from tests.house.test_imports import ROOT


def test_the_function_reference_is_up_to_date() -> None:
    drawn = reference_page(manifest_of(published()))
    assert (ROOT / "docs" / "functions.md").read_text() == drawn, f"redraw it: {REDRAW}"
