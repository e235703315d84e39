"""The generated types, compiled by TypeScript against the published npm package: only what is right compiles."""

from __future__ import annotations

import asyncio
import re
import shutil
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from server.codegen.writing import generate
from tests.wire.node import ready_node

TYPES = Path(__file__).parent / "types"
MISUSES = sorted((TYPES / "misuse").glob("*.ts"))
COMPILE_TIMEOUT_S = 180
DIAGNOSTIC = re.compile(r"^(?P<file>[^(\s]+)\((?P<line>\d+),\d+\): error (?P<code>TS\d+): ", re.MULTILINE)
EXPECTED = re.compile(r"// (?P<code>TS\d+)$")


class Compiled:
    """What the compiler said of all files at once."""

    def __init__(self, output: str) -> None:
        self.output = output
        self.errors: dict[str, set[tuple[int, str]]] = {}
        for found in DIAGNOSTIC.finditer(output):
            self.errors.setdefault(found["file"], set()).add((int(found["line"]), found["code"]))


async def run(*command: str, folder: Path) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=PIPE, stderr=STDOUT)
    try:
        async with asyncio.timeout(COMPILE_TIMEOUT_S):
            output, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return child.returncode or 0, output.decode()


@pytest.fixture(scope="module")
async def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A front end's folder with freshly generated types, and the Node.js to compile it with."""
    node = await ready_node(TYPES)
    folder = tmp_path_factory.mktemp("front-end")
    shutil.copytree(TYPES, folder, ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True)
    (folder / "node_modules").symlink_to(TYPES / "node_modules")
    generate(folder / "_generated", None, None)
    return folder, node


@pytest.fixture(scope="module")
async def compiled(project: tuple[Path, str]) -> Compiled:
    folder, node = project
    _, output = await run(node, "node_modules/typescript/bin/tsc", "-p", ".", "--pretty", "false", folder=folder)
    return Compiled(output)


async def test_right_uses_compile(compiled: Compiled) -> None:
    wrong = {name for name in compiled.errors if not name.startswith("misuse/")}
    assert wrong == set(), compiled.output
    assert set(compiled.errors) == {f"misuse/{path.name}" for path in MISUSES}, compiled.output


@pytest.mark.parametrize("path", MISUSES, ids=lambda path: path.stem)
def test_misuse_does_not_compile(compiled: Compiled, path: Path) -> None:
    lines = enumerate(path.read_text().splitlines(), 1)
    marked = {(number, found["code"]) for number, line in lines if (found := EXPECTED.search(line))}
    assert marked
    assert compiled.errors.get(f"misuse/{path.name}") == marked, compiled.output


async def test_the_files_are_laid_out_as_prettier_would(project: tuple[Path, str]) -> None:
    folder, node = project
    prettier = "node_modules/prettier/bin/prettier.cjs"
    status, output = await run(node, prettier, "--print-width", "100", "--check", "_generated", folder=folder)
    assert status == 0, output


async def test_references_are_names_when_they_run(project: tuple[Path, str]) -> None:
    folder, node = project
    script = """
        import { getFunctionName } from "convex/server";
        import { api } from "./_generated/api.js";
        console.log(getFunctionName(api.images.getPublicGallery));
    """
    (folder / "run.mjs").write_text(script)
    status, output = await run(node, "run.mjs", folder=folder)
    assert (status, output.splitlines()[-1]) == (0, "images:getPublicGallery")
