"""The README, run: its snippets against a real product, its commands against what exists."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from server.__main__ import COMMANDS, WITHOUT_SETTINGS
from server.functions import published
from tests.support.world import World
from tests.wire.node import HERE, ready_node

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
DEADLINE_S = 60


def snippets(language: str) -> list[str]:
    """The README's code blocks in one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


async def run(*command: str, cwd: Path) -> str:
    """What the command prints. It must succeed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(DEADLINE_S):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_the_python_client(world: World, tmp_path: Path) -> None:
    (code,) = [each for each in snippets("python") if "ConvexClient" in each]
    story = tmp_path / "readme.py"
    story.write_text(code.replace("http://127.0.0.1:8000", world.url))
    assert "'credits': 10.0" in await run(sys.executable, str(story), cwd=tmp_path)


async def test_the_javascript_client(world: World) -> None:
    (code,) = snippets("js")
    node = await ready_node()
    story = HERE / "readme.tmp.mjs"  # beside node_modules, where its import is looked for
    story.write_text(code.replace("http://127.0.0.1:8000", world.url))
    try:
        assert "credits: 10" in await run(node, str(story), cwd=HERE)
    finally:
        story.unlink()


def test_the_query_shown_is_the_one_that_runs() -> None:
    (shown,) = [each for each in snippets("python") if "@query" in each]
    assert shown in (ROOT / "server/functions/gallery.py").read_text()
    assert published().find("images:hasActiveGenerations") is not None


@pytest.mark.parametrize("command", sorted(set(re.findall(r"python -m server (\w+)", README))))
def test_every_command_of_the_server_exists(command: str) -> None:
    assert command in (*COMMANDS, *WITHOUT_SETTINGS)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^|`)make (\w+)", README, flags=re.MULTILINE))))
def test_every_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((docs/[^)]+)\)", README))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_every_dependency_earns_its_place() -> None:
    declared = re.search(r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE)
    assert declared is not None
    names = re.findall(r'^\s*"([A-Za-z0-9_-]+)', declared[1], flags=re.MULTILINE)
    assert [name for name in names if f"`{name}`" not in README] == []
