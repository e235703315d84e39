"""The README and the guides, run: their snippets against a real product, their commands and numbers against what exists."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from pathlib import Path

import httpx
import pytest

from server.__main__ import COMMANDS, WITHOUT_SETTINGS
from server.families import FAMILIES
from server.functions import published
from tests.support.processes import running
from tests.support.world import World, free_port, fresh_database
from tests.wire.node import HERE, ready_node

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
GUIDES = {path: (ROOT / path).read_text() for path in ("docs/operations.md", "docs/moving-from-convex.md")}
PAGES = {"README.md": README, **GUIDES}
ADDRESS = "http://127.0.0.1:8000"
HOUSE = ("schema", "subscriptions", "jobs", "server", "web")
ONLY_SOMETIMES = {
    "anime_gemini_total", "anime_gemini_paused", "anime_webhook_age_seconds", "anime_ledger_imbalanced_members",
    "anime_ledger_audit_failed", "anime_ledger_audit_age_seconds", "anime_function_runs_total", "anime_jobs_attempts_total",
    "anime_function_seconds_total", "anime_jobs_attempts_ended_total", "anime_jobs_attempts_seconds_total",
    "anime_jobs_queued", "anime_jobs_leased", "anime_jobs_dead", "anime_jobs_oldest_wait_seconds", "anime_resident_bytes",
}  # fmt: skip
"""Of the model, where it is Google's; of what has to happen first; of what only Linux says."""
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


def written(folder: Path, name: str, holds: str, url: str) -> Path:
    """The one Python snippet that holds this, as a script that calls another address."""
    (code,) = [each for each in snippets("python") if holds in each]
    script = folder / name
    script.write_text(code.replace(ADDRESS, url))
    return script


def add_lines(text: str, diff: str) -> str:
    """The text with a diff's lines added, each below the line that stands above it there."""
    above = ""
    for line in diff.splitlines():
        if line.startswith("+"):
            assert text.count(f"{above}\n") == 1
            text = text.replace(f"{above}\n", f"{above}\n{line[1:]}\n")
        above = line[1:]
    return text


async def test_the_query_of_a_newcomer(mongod_uri: str, tmp_path: Path) -> None:
    """Added to a copy of the house exactly as the README says, it answers the published client, and again when it changes."""
    house = tmp_path / "house"
    for folder in HOUSE:
        shutil.copytree(ROOT / folder, house / folder, ignore=shutil.ignore_patterns("__pycache__"))
    written(house / "server/functions", "club.py", "@query", ADDRESS)
    (diff,) = snippets("diff")
    names = house / "server/functions/__init__.py"
    names.write_text(add_lines(names.read_text(), diff))
    port = str(free_port())
    env = {"MONGODB_URI": fresh_database(mongod_uri), "PORT": port, "DATA_DIR": str(tmp_path), "APP_ENV": "development"}
    async with running("web", house, **env) as web:
        await web.says("is serving")
        url = f"http://127.0.0.1:{port}"
        watch = written(tmp_path, "watch.py", "club:members", url)
        watcher = await asyncio.create_subprocess_exec(sys.executable, str(watch), stdout=asyncio.subprocess.PIPE)
        assert watcher.stdout is not None
        try:
            async with asyncio.timeout(DEADLINE_S):
                assert await watcher.stdout.readline() == b"0.0\n"
                await run(sys.executable, str(written(tmp_path, "join.py", "users:ensureUser", url)), cwd=tmp_path)
                assert await watcher.stdout.readline() == b"1.0\n"
        finally:
            watcher.kill()
            await watcher.wait()


async def test_the_python_client(world: World, tmp_path: Path) -> None:
    story = written(tmp_path, "readme.py", "users:ensureUser", world.url)
    assert "'credits': 10.0" in await run(sys.executable, str(story), cwd=tmp_path)


async def test_the_javascript_client(world: World) -> None:
    (code,) = snippets("js")
    node = await ready_node()
    story = HERE / "readme.tmp.mjs"  # beside node_modules, where its import is looked for
    story.write_text(code.replace(ADDRESS, world.url))
    try:
        assert "credits: 10" in await run(node, str(story), cwd=HERE)
    finally:
        story.unlink()


async def test_every_number_is_explained(world: World) -> None:
    """The guide lists what `/metrics` prints, and nothing else."""
    async with httpx.AsyncClient() as http:
        lines = (await http.get(f"{world.url}/metrics")).text.splitlines()
    printed = {line.split()[2] for line in lines if line.startswith("# TYPE ")}
    assert printed <= FAMILIES.keys()
    assert FAMILIES.keys() - printed <= ONLY_SOMETIMES
    rows = [line for line in GUIDES["docs/operations.md"].splitlines() if line.startswith("| `anime_")]
    assert FAMILIES.keys() == set(re.findall(r"`(anime_\w+)`", "".join(rows)))


def test_every_function_that_a_guide_names_exists() -> None:
    named = set(re.findall(r"`((?:admin|images|users|payments):\w+)`", "".join(GUIDES.values())))
    assert named
    assert [name for name in sorted(named) if published().find(name) is None] == []


def test_every_action_that_is_explained_is_logged() -> None:
    """The first cells of the guide's table of log lines."""
    table = GUIDES["docs/operations.md"].partition("| action |")[2].partition("\n\n")[0]
    named = re.findall(r"`([a-z]+\.[a-z_]+)`", "".join(row.split(" | ")[0] for row in table.splitlines()))
    code = "".join(path.read_text() for folder in HOUSE for path in (ROOT / folder).rglob("*.py"))
    assert named
    assert [name for name in named if f'"{name}"' not in code] == []


def of_all_pages(pattern: str) -> list[str]:
    """What the pattern finds in any of them, once each."""
    return sorted({found for page in PAGES.values() for found in re.findall(pattern, page, flags=re.MULTILINE)})


@pytest.mark.parametrize("command", of_all_pages(r"python -m server (\w+)"))
def test_every_command_of_the_server_exists(command: str) -> None:
    assert command in (*COMMANDS, *WITHOUT_SETTINGS)


@pytest.mark.parametrize("target", of_all_pages(r"(?:^|`)make (\w+)"))
def test_every_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    """To a file, and to a heading in it where one is named."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", PAGES[page]) if not link.startswith("https://")]
    assert links
    for link in links:
        path, _, heading = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), flags=re.MULTILINE)
            assert heading in {re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in headings}, link


def test_the_procfile_shown_is_the_one_that_is_there() -> None:
    assert snippets("procfile") == [(ROOT / "Procfile").read_text()]


def test_every_dependency_earns_its_place() -> None:
    declared = re.search(r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE)
    assert declared is not None
    names = re.findall(r'^\s*"([A-Za-z0-9_-]+)', declared[1], flags=re.MULTILINE)
    assert [name for name in names if f"`{name}`" not in README] == []
