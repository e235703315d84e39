"""The direction of imports, read from the syntax trees (house style 2.2 and 2.4)."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RANKS = {"schema": 0, "subscriptions": 1, "jobs": 2, "server": 3, "tests": 4}
PRODUCT = ("schema", "subscriptions", "jobs", "server")
FOLDERS = {*RANKS, "web", "docs"}
THIRD_PARTY_EVERYWHERE = {"msgspec"}

UNCERTAIN_MODULES = {"random", "secrets", "uuid"}
UNCERTAIN_CALLS = {
    *("time.time", "time.time_ns", "uuid4", "uuid.uuid4", "uuid.uuid1", "os.urandom"),
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "datetime.datetime.now"),
}
UNCERTAINTY_LIVES_IN = {"server/runtime.py", "server/ids.py"}
EXCEPTIONS = {
    "server/dev/issuer.py": "secrets: a token's jti, and the name of a draft file that two starting processes must not share",
    "server/keyring.py": "secrets: the keys themselves",
    "server/store/mongo.py": "random: jitter between two tries of a transaction",
    "server/store/tail.py": "random: jitter between two tries to open the feed",
    "subscriptions/client.py": "uuid: the type of a session's id; none is made there",
    "subscriptions/frames.py": "uuid: the type of a session's id; none is made there",
    "subscriptions/worker.py": "random: jitter between two tries of a refresh",
}
"""Where chance is used outside the two files meant for it, and what for. One that is not needed any more fails too."""


class Import:
    """One imported module, or one name out of a module."""

    __slots__ = ("line", "module", "name", "path")

    def __init__(self, file: Path, line: int, module: str, name: str | None) -> None:
        self.path, self.line, self.module, self.name = file.relative_to(ROOT), line, module, name

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.module}{f'.{self.name}' if self.name else ''}"

    @property
    def importer(self) -> str:
        return self.path.parts[0]

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]


def files(*folders: str) -> list[Path]:
    """Every Python file below these folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> Iterator[Import]:
    """What a file imports, wherever in it; relative imports spelled out."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name, None)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *filter(None, (node.module,))))
            for alias in node.names:
                yield Import(path, node.lineno, module, alias.name)


PRIVATE_EXCEPTIONS = {
    "tests/unit/subscriptions/test_matcher.py": "the shape of its trees, which no public name shows",
}
"""Who reaches for a private name of another module, and for what."""


@functools.cache
def all_imports() -> list[Import]:
    """What is imported anywhere. Read when it is asked for: every process of a test run imports this module."""
    return [each for path in files(*RANKS) for each in imports(path)]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def listed(found: object) -> str:
    return "\n".join(map(str, found)) if isinstance(found, list) else str(found)


def test_there_is_something_to_read() -> None:
    assert {each.importer for each in all_imports()} == set(RANKS)
    assert len(all_imports()) > 500


def test_imports_go_one_way() -> None:
    leftwards = [each for each in all_imports() if each.package in RANKS and RANKS[each.package] > RANKS[each.importer]]
    assert not leftwards, listed(leftwards)


def test_nothing_private_is_imported() -> None:
    """Neither from another folder nor from the file next door."""
    private = [
        each
        for each in all_imports()
        if each.package in RANKS and any(is_private(part) for part in (*each.module.split("."), each.name or ""))
    ]
    unforeseen = [each for each in private if str(each.path) not in PRIVATE_EXCEPTIONS]
    assert not unforeseen, listed(unforeseen)
    assert {str(each.path) for each in private} == set(PRIVATE_EXCEPTIONS)


def test_nothing_private_of_another_module_is_reached_for() -> None:
    """`module._name`, where `module` is one of ours."""
    found = []
    for path in files(*PRODUCT):
        known = {each.name for each in imports(path) if each.name and each.package in RANKS and each.name.islower()}
        found += [
            f"{path.relative_to(ROOT)}:{node.lineno} reaches for {node.value.id}.{node.attr}"
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in known
            and is_private(node.attr)
        ]
    assert not found, listed(found)


def test_only_the_server_knows_third_parties() -> None:
    foreign = [
        each
        for each in all_imports()
        if each.importer not in ("server", "tests")
        and each.package not in sys.stdlib_module_names
        and each.package not in RANKS
        and each.package not in THIRD_PARTY_EVERYWHERE
    ]
    assert not foreign, listed(foreign)


def test_what_the_product_imports_is_what_it_declares() -> None:
    """A package that only happens to be installed is missing elsewhere."""
    declared = (ROOT / "pyproject.toml").read_text().lower()
    names = {"PIL": "pillow", "pillow_heif": "pillow-heif", "jwt": "pyjwt", "bson": "pymongo", "gridfs": "pymongo"}
    third = {each.package for each in all_imports() if each.importer != "tests"} - set(RANKS) - sys.stdlib_module_names
    missing = sorted(each for each in third if f'"{names.get(each, each)}' not in declared)
    assert not missing, missing


def test_the_top_level_holds_only_what_is_documented() -> None:
    ignored = {line.strip("/ ") for line in (ROOT / ".gitignore").read_text().splitlines()}
    found = {
        each.name
        for each in ROOT.iterdir()
        if each.is_dir() and not each.name.startswith((".", "__")) and each.name not in ignored
    }
    assert found <= FOLDERS, sorted(found - FOLDERS)
    assert not list(ROOT.glob("*.py"))


def uncertain(path: Path) -> set[str]:
    """The sources of time and chance that a file uses by itself."""
    modules = {each.package for each in imports(path)} & UNCERTAIN_MODULES
    calls = {ast.unparse(node.func) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)}
    return modules | (calls & UNCERTAIN_CALLS)


@pytest.mark.parametrize("folder", PRODUCT)
def test_clock_chance_and_ids_are_passed_in(folder: str) -> None:
    found = {str(path.relative_to(ROOT)): uncertain(path) for path in files(folder)}
    used = {path for path, sources in found.items() if sources} - UNCERTAINTY_LIVES_IN
    allowed = {path for path in EXCEPTIONS if path.startswith(f"{folder}/")}
    assert used == allowed, {path: found.get(path) for path in used ^ allowed}
