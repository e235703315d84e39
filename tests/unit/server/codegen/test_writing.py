"""The command: it writes what it is asked for, without settings and without a database."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from server.codegen.writing import generate
from tests.house.test_imports import ROOT


async def command(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """`python -m server codegen ...` in an environment that has nothing else in it."""
    line = (sys.executable, "-m", "server", "codegen", *arguments)
    child = await asyncio.create_subprocess_exec(*line, cwd=ROOT, stdout=PIPE, stderr=PIPE, env=environment)
    output, complaints = await child.communicate()
    return child.returncode or 0, output.decode(), complaints.decode()


def test_only_what_is_wanted_is_written(tmp_path: Path) -> None:
    assert generate(None, None, tmp_path / "page.md") == [tmp_path / "page.md"]
    assert generate(None, None, None) == []
    written = generate(tmp_path / "deep" / "_generated", tmp_path / "client.py", None)
    assert [path.name for path in written] == ["api.d.ts", "api.js", "dataModel.d.ts", "client.py"]
    assert all(path.read_bytes().count(b"\r") == 0 for path in written)


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        generate(None, tmp_path / "nowhere" / "client.py", None)


async def test_the_command_needs_nothing_that_production_needs(tmp_path: Path) -> None:
    folder = tmp_path / "_generated"
    status, output, complaints = await command(str(folder), APP_ENV="production")
    assert (status, complaints) == (0, "")
    assert output.splitlines() == [f"wrote {folder / name}" for name in ("api.d.ts", "api.js", "dataModel.d.ts")]


async def test_a_path_that_cannot_be_written_and_nothing_at_all_are_sentences(tmp_path: Path) -> None:
    status, _, complaints = await command("--python", str(tmp_path / "nowhere" / "client.py"))
    assert (status, complaints) == (
        2,
        f"error: {tmp_path / 'nowhere' / 'client.py'} cannot be written: No such file or directory\n",
    )
    status, _, complaints = await command()
    assert status == 2
    assert "say what to write: DIR, --python FILE or --reference FILE" in complaints
