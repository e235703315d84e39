"""The page being built beside the server: what is seen meanwhile, what is said when it fails, and what stays behind: nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from server.config import Settings, read_settings
from server.dev.page_build import INSTALLED, PageNotBuilt, build_page, is_current
from server.processes import building
from server.web.page import Site
from tests.support.page import WEB
from tests.support.processes import DEADLINE_S

LOCK = {
    "name": "a-page", "lockfileVersion": 3, "requires": True,
    "packages": {
        "": {"name": "a-page", "dependencies": {"tiny": "1.0.0"}},
        "node_modules/tiny": {"version": "1.0.0", "integrity": "sha512-" + "A" * 86 + "=="},
    },
}  # fmt: skip
INDEX = '<!doctype html><html lang="en"><head><title>Tiny</title><script type="module" src="/main.js"></script></head></html>'


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a page that needs one package, of which nothing is in any cache."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "package.json").write_text(json.dumps(LOCK["packages"][""]))  # type: ignore[index]
    (folder / "package-lock.json").write_text(json.dumps(LOCK))
    (folder / "index.html").write_text(INDEX)
    (folder / "main.js").write_text("document.title = 'one';" + "// long enough to be compressed" * 20)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    return folder


@asynccontextmanager
async def served(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """The site alone."""
    app = Starlette(routes=site.routes(), exception_handlers={404: site.lost})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://anime.test") as http:
        yield http


def settings_in(folder: Path) -> Settings:
    return read_settings({"DATA_DIR": str(folder / "data")}, default_environment="development")


@asynccontextmanager
async def silent_registry() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A registry that takes every call and never answers; the event says that somebody calls."""
    called, over = asyncio.Event(), asyncio.Event()

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        await over.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1")
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", called
        over.set()


def working_in(folder: Path) -> list[str]:
    """The processes that are at work in this folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink() == folder:
                found.append(link.parent.joinpath("cmdline").read_text())
        except OSError:
            continue
    return found


def folders_of_builds(web: Path) -> list[str]:
    return [each.name for each in web.glob("dist*")]


async def test_a_build_that_is_stopped_leaves_nothing_running(
    web: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    site = Site(settings_in(tmp_path), web / "dist")
    async with silent_registry() as (address, called), served(site) as http, asyncio.timeout(DEADLINE_S):
        monkeypatch.setenv("npm_config_registry", address)
        async with building(settings_in(tmp_path), site, said.append, web):
            await called.wait()
            page = await http.get("/gallery")
            assert page.status_code == 503
            assert "The page is being built" in page.text
            assert '<meta http-equiv="refresh"' in page.text
            assert "sha256-" in page.headers["content-security-policy"]
            assert (await http.get("/config.json")).json()["isDevelopment"] is True
            assert working_in(web)
        assert working_in(web) == []
    assert [each for each in said if "npm ci" in each]
    assert not is_current(web)


async def test_a_registry_that_is_away_is_said_on_the_page_and_to_who_started_it(
    web: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    failed = asyncio.Event()
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        if "could not be built" in line:
            failed.set()

    site = Site(settings_in(tmp_path), web / "dist")
    async with served(site) as http, building(settings_in(tmp_path), site, hear, web), asyncio.timeout(DEADLINE_S):
        await failed.wait()
        page = await http.get("/")
        assert page.status_code == 503
        assert "npm&#x27;s registry, which cannot be reached (ECONNREFUSED)" in page.text
        assert "npm's registry, which cannot be reached (ECONNREFUSED)" in said[-1]
        assert "http-equiv" not in page.text


async def test_a_server_that_builds_nothing_says_who_does(tmp_path: Path) -> None:
    async with served(Site(settings_in(tmp_path), tmp_path / "dist")) as http:
        for address in ("/", "/gallery"):
            page = await http.get(address)
            assert (page.status_code, page.headers["cache-control"]) == (503, "no-store")
            assert "python -m server page" in page.text
            assert "http-equiv" not in page.text
        (tmp_path / "dist").mkdir()
        (tmp_path / "dist" / "index.html").write_text(INDEX)
        assert (await http.get("/")).text == INDEX, "a build that comes later is served without a restart"


async def test_a_page_is_built_once_for_each_state_of_its_sources(web: Path, tmp_path: Path, built_page: Path) -> None:
    (web / "package-lock.json").write_bytes((WEB / "package-lock.json").read_bytes())
    (web / "node_modules").symlink_to(WEB / "node_modules")
    said: list[str] = []
    heard = asyncio.Event()

    async def build() -> list[str]:
        said.clear()
        await build_page(tmp_path / "log", said.append, web)
        return said

    site = Site(settings_in(tmp_path), web / "dist")
    assert any("vite build" in each for each in await build())
    assert await build() == []
    first = next((web / "dist" / "assets").glob("*.js"))
    assert {first.with_name(f"{first.name}.br"), first.with_name(f"{first.name}.gz")} <= set(first.parent.iterdir())
    async with served(site) as http:
        assert (await http.get(f"/assets/{first.name}")).headers["content-encoding"] in ("br", "gzip")
        (web / "main.js").write_text("document.title = 'two';")
        async with (
            asyncio.timeout(DEADLINE_S),
            building(settings_in(tmp_path), site, lambda line: heard.set() if "is built" in line else None, web),
        ):
            await heard.wait()
            page = await http.get("/")
        assert page.status_code == 200
        assert f"/assets/{first.name}" not in page.text
    assert folders_of_builds(web) == ["dist"]
    (web / "main.js").write_text("import './nothing.js'")
    with pytest.raises(PageNotBuilt, match=r"vite\.js found something wrong in it\. It is written in"):
        await build()
    assert "nothing.js" in (tmp_path / "log").read_text()
    assert (web / INSTALLED).exists()
    assert f"/assets/{first.name}" not in (web / "dist" / "index.html").read_text(), "the last page that worked is kept"
