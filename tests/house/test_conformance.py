"""`docs/conformance.md` is parsed, not trusted: no row of the matrix is missing, and every test that is named exists."""

from __future__ import annotations

import pytest

from tests.house.tables import check_tests_of, rows_of
from tests.house.test_imports import ROOT

ROWS = list(rows_of(ROOT / "docs" / "conformance.md"))
MATRIX = [str(number) for number in range(1, 83)]
MATRIX.insert(MATRIX.index("5"), "4b")
COLUMNS = 4
NOT_HERE = "Not here: "
MAX_NOT_HERE = 6
"""A reason is cheaper than a test; there are to be no more of them."""


def test_no_row_of_the_matrix_is_missing() -> None:
    assert [row[0] for row in ROWS if len(row) == COLUMNS] == MATRIX


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_is_shown_by_tests_that_exist_or_says_why_not(row: list[str]) -> None:
    assert all(row)
    if row[-1].startswith(NOT_HERE):
        assert row[-1].endswith(".")
    else:
        check_tests_of(row)


def test_little_is_left_out() -> None:
    assert sum(row[-1].startswith(NOT_HERE) for row in ROWS) <= MAX_NOT_HERE
