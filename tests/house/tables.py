"""The tables of our pages, read: what a row says is worth what the tests in its last cell show."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from tests.house.test_imports import ROOT, tree_of

NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows_of(page: Path) -> Iterator[list[str]]:
    """The cells of every row, without heads and rules."""
    lines = page.read_text().splitlines()
    for above, line in pairwise(lines):
        if line.startswith("| ") and above.startswith("|"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def check_tests_of(row: list[str]) -> None:
    """The last cell names tests, nothing else, and each of them exists."""
    named = NAMED.findall(row[-1])
    assert named, "no test is named"
    assert NAMED.sub("", row[-1]).replace(",", "").strip() == "", "only tests are named"
    assert [f"{path}::{name}" for path, name in named if name not in _functions_in(path)] == []
    assert [name for _, name in named if not name.startswith("test_")] == []


def _functions_in(path: str) -> set[str]:
    file = ROOT / path
    nodes = ast.walk(tree_of(file)) if file.is_file() else ()
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
