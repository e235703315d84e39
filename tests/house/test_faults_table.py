"""`docs/faults.md` is parsed, not trusted: every fault has tests that exist, and metrics that a process counts."""

from __future__ import annotations

import re

import pytest

from tests.house.tables import check_tests_of, rows_of
from tests.house.test_imports import ROOT, files

ROWS = list(rows_of(ROOT / "docs" / "faults.md"))
COLUMNS = 5
METRIC = re.compile(r"`(anime_\w+)`")
MUST_BE_THERE = (
    "steps down", "is killed", "aged out", "huge transaction", "delete", "16 MB", "pre-image", "raises", "hangs",
    "stops reading", "half-open", "reconnect at once", "lost its majority", "jumps ahead", "jumps back", "certificate",
)  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_fault_is_shown_by_tests_that_exist(row: list[str]) -> None:
    assert len(row) == COLUMNS
    assert all(row)
    check_tests_of(row)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_fault_is_counted(row: list[str]) -> None:
    named = METRIC.findall(row[3])
    assert named, "no metric is named"
    counted = "".join(path.read_text() for path in files("server"))
    assert [name for name in named if f'"{name}"' not in counted] == []


@pytest.mark.parametrize("fault", MUST_BE_THERE)
def test_a_fault_that_must_be_there_is_in_the_table(fault: str) -> None:
    assert [row for row in ROWS if fault in row[0]], fault
