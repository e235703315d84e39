"""Files as the house style wants them: short, introduced, aptly named, and silent (house style 2.1 and 2.4)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.house.test_imports import PRODUCT, RANKS, ROOT, files, tree_of
from tests.support.longest_first import SECONDS

MAX_LINES = 300
MAX_COLUMNS = 130
BANNED = {"utils", "helpers", "common", "misc", "manager", "service", "base", "data", "info", "process"}
MAY_PRINT = {"server/__main__.py"}
CANNED = re.compile(r"# type: ignore(?!\[)|# noqa(?!: )")

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def is_hollow(name: str) -> bool:
    """Is what it is called after no thing at all? The last word is the noun; `Base...` is hollow from the front."""
    words = [word.lower() for word in WORD.findall(name)]
    return bool(words) and (words[-1] in BANNED or words[0] == "base")


@pytest.mark.parametrize(
    "name", ["JobManager", "job_manager", "HTTPService", "utils", "BaseReader", "UserInfo", "Data"]
)
def test_hollow_names(name: str) -> None:
    assert is_hollow(name)


@pytest.mark.parametrize("name", ["DataFolderInUse", "processes", "Database", "embedded", "information"])
def test_names_that_only_look_hollow(name: str) -> None:
    assert not is_hollow(name)


@pytest.mark.parametrize("folder", PRODUCT)
def test_no_file_is_too_long(folder: str) -> None:
    counts = {name_of(path): len(path.read_text().splitlines()) for path in files(folder)}
    assert {name: count for name, count in counts.items() if count > MAX_LINES} == {}


@pytest.mark.parametrize("folder", RANKS)
def test_every_module_says_what_it_is(folder: str) -> None:
    """An empty file has nothing to say."""
    silent = [
        name_of(path) for path in files(folder) if path.read_text().strip() and not ast.get_docstring(tree_of(path))
    ]
    assert silent == []


@pytest.mark.parametrize("folder", PRODUCT)
def test_a_module_begins_with_a_sentence(folder: str) -> None:
    unfinished = []
    for path in files(folder):
        introduction = (ast.get_docstring(tree_of(path)) or "").split("\n\n")[0]
        if introduction and not introduction.endswith((".", ":")):
            unfinished.append(name_of(path))
    assert unfinished == []


@pytest.mark.parametrize("folder", RANKS)
def test_names_say_something(folder: str) -> None:
    paths = [path.relative_to(ROOT).with_suffix("") for path in files(folder)]
    hollow = [str(path) for path in paths if any(map(is_hollow, path.parts))]
    for path in files(folder):
        hollow += [
            f"{name_of(path)}:{node.lineno} {node.name}"
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.ClassDef) and is_hollow(node.name)
        ]
    assert hollow == []


@pytest.mark.parametrize("folder", PRODUCT)
def test_only_the_command_line_prints(folder: str) -> None:
    loud = [
        f"{name_of(path)}:{node.lineno}"
        for path in files(folder)
        if name_of(path) not in MAY_PRINT
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.stdout.write", "sys.stderr.write")
    ]
    assert loud == []


@pytest.mark.parametrize("folder", RANKS)
def test_annotations_are_postponed_and_exemptions_have_a_name(folder: str) -> None:
    found = []
    for path in files(folder):
        text = path.read_text()
        has_code = any(not isinstance(node, ast.Expr) for node in tree_of(path).body)
        if has_code and "from __future__ import annotations" not in text:
            found.append(f"{name_of(path)} lacks the future import")
        found += [
            f"{name_of(path)}:{number} {line.strip()}"
            for number, line in enumerate(text.splitlines(), 1)
            if CANNED.search(line) and path != Path(__file__)
        ]
    assert found == []


@pytest.mark.parametrize("folder", RANKS)
def test_nothing_of_this_machine_is_written_down(folder: str) -> None:
    """Absolute paths of whoever wrote it, and tabs or trailing blanks."""
    found = [
        f"{name_of(path)}:{number} {line}"
        for path in files(folder)
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"(?<![\w./])/(home|Users|root)/\w", line) or line != line.rstrip() or len(line) > MAX_COLUMNS
    ]
    assert found == []


def test_what_is_begun_first_is_there() -> None:
    """A file that was renamed would be begun last, and everybody would wait for it."""
    assert [name for name in SECONDS if not (ROOT / name).exists()] == []
