"""`docs/security.md` is parsed, not trusted: every row of its tables names tests, and every test that is named exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.house.test_imports import ROOT, tree_of

PAGE = ROOT / "docs" / "security.md"
COLUMNS = 3
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
MUST_BE_TRIED = (
    "forge a webhook", "replay a webhook", "a page elsewhere", "somebody else's ids", "trying ids", "change a cursor",
    '{"$ne": null}', "a prototype", "`../`", "headers by CR and LF", "`successUrl`", "slow-loris", "compression bomb",
    "into the log", "frames", "bodies of function calls", "cursors and grants", "webhooks", "pictures",
)  # fmt: skip


def rows() -> Iterator[list[str]]:
    """The cells of every row, without heads and rules."""
    lines = PAGE.read_text().splitlines()
    for above, line in pairwise(lines):
        if line.startswith("| ") and above.startswith("|"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def named_in(path: str) -> set[str]:
    file = ROOT / path
    nodes = ast.walk(tree_of(file)) if file.is_file() else ()
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_there_are_rows() -> None:
    assert sum(1 for _ in rows()) > len(MUST_BE_TRIED)


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: row[0])
def test_a_row_is_shown_by_tests_that_exist(row: list[str]) -> None:
    assert len(row) == COLUMNS
    named = NAMED.findall(row[-1])
    assert named, "no test is named"
    assert NAMED.sub("", row[-1]).replace(",", "").strip() == "", "only tests are named"
    assert [f"{path}::{name}" for path, name in named if name not in named_in(path)] == []
    assert [name for _, name in named if not name.startswith("test_")] == []


@pytest.mark.parametrize("attack", MUST_BE_TRIED)
def test_an_attack_that_must_be_tried_is_in_the_table(attack: str) -> None:
    assert [row for row in rows() if attack in row[0]], attack
