"""`docs/security.md` is parsed, not trusted: every row of its tables names tests, and every test that is named exists."""

from __future__ import annotations

import pytest

from tests.house.tables import check_tests_of, rows_of
from tests.house.test_imports import ROOT

ROWS = list(rows_of(ROOT / "docs" / "security.md"))
COLUMNS = 3
MUST_BE_TRIED = (
    "forge a webhook", "replay a webhook", "a page elsewhere", "somebody else's ids", "trying ids", "change a cursor",
    '{"$ne": null}', "a prototype", "`../`", "headers by CR and LF", "`successUrl`", "slow-loris", "compression bomb",
    "into the log", "frames", "bodies of function calls", "cursors and grants", "webhooks", "pictures",
)  # fmt: skip


def test_there_are_rows() -> None:
    assert len(ROWS) > len(MUST_BE_TRIED)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_is_shown_by_tests_that_exist(row: list[str]) -> None:
    assert len(row) == COLUMNS
    check_tests_of(row)


@pytest.mark.parametrize("attack", MUST_BE_TRIED)
def test_an_attack_that_must_be_tried_is_in_the_table(attack: str) -> None:
    assert [row for row in ROWS if attack in row[0]], attack
