"""The page's sources: their types hold, their own tests pass, and what they are built from says no download address."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from server.dev.node import find_node
from tests.support.page import WEB

DEADLINE_S = 120.0
TOOLS = {
    "types": ("node_modules/typescript/bin/tsc", "--noEmit", "--pretty", "false"),
    "tests": ("node_modules/vitest/vitest.mjs", "run"),
}


@pytest.mark.parametrize("tool", TOOLS)
async def test_types_hold_and_tests_pass(tool: str, built_page: Path, tmp_path: Path) -> None:
    node, log = await find_node(), tmp_path / "log"
    status = await node.run(*TOOLS[tool], folder=WEB, log=log, deadline_s=DEADLINE_S)
    assert status == 0, log.read_text()


def test_the_lock_carries_no_addresses() -> None:
    text = (WEB / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert [name for name, each in packages.items() if "resolved" in each] == []
    assert [name for name, each in packages.items() if name and "integrity" not in each] == []
    assert "http://" not in text
