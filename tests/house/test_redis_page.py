"""`docs/redis.md` is parsed, not trusted: what is said of a Redis in trouble is shown by tests that exist."""

from __future__ import annotations

import pytest

from tests.house.tables import NAMED, check_tests_of, rows_of
from tests.house.test_imports import ROOT

PAGE = ROOT / "docs" / "redis.md"
TROUBLES = {"is slow", "hangs", "is gone", "was flushed", "is back", "is full", "lies"}
COLUMNS = 3


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(PAGE.read_text())
    assert len(named) > len(TROUBLES)
    for path, name in named:
        check_tests_of([f"`{path}::{name}`"])


@pytest.mark.parametrize("trouble", sorted(TROUBLES))
def test_every_trouble_is_shown(trouble: str) -> None:
    (row,) = (each for each in rows_of(PAGE) if each[0] == trouble)
    assert len(row) == COLUMNS
    check_tests_of(row)
