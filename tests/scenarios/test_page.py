"""The page as it is served: views and files in the shape that serves a browser, and what other sites see of a shared picture."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from schema.images import Image
from server.codegen.writing import generate
from server.ids import capability_id
from tests.scenarios.conftest import Meet
from tests.scenarios.stock import change, now
from tests.scenarios.test_sharing import shown
from tests.support.live import DEADLINE_S
from tests.support.page import WEB
from tests.support.world import World, open_world

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
ASSET = re.compile(r'(?:src|href)="(/assets/[^"]+)"')
KEY = "pk_test_Y2xldmVyLWZveC0xLmNsZXJrLmFjY291bnRzLmRldiQ"
CLERK = "https://clever-fox-1.clerk.accounts.dev"


@pytest.fixture
async def http(town: World, built_page: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without a cache."""
    async with httpx.AsyncClient(base_url=town.url, timeout=DEADLINE_S, trust_env=False, headers=BROWSER) as client:
        yield client


class Metas(HTMLParser):
    """What a reader without JavaScript learns from a page's head."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.told: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "meta" and (name := said.get("property") or said.get("name")):
            self.told[name] = said.get("content", "")


async def test_every_view_begins_with_the_same_document(http: httpx.AsyncClient) -> None:
    page = await http.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    assert page.headers["permissions-policy"].startswith("camera=(self)")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:")
    assert "unsafe" not in policy
    assert not re.findall(r'(?:src|href)="https?://', page.text)
    assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", page.text), (
        "the policy would not let it run"
    )
    for view in ("/gallery", "/credits", "/admin", "/admin/review"):
        same = await http.get(view)
        assert (same.status_code, same.text, same.headers["etag"]) == (200, page.text, page.headers["etag"])
    again = await http.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == policy
    nowhere = await http.get("/no/such/view")
    assert (nowhere.status_code, nowhere.text) == (404, page.text)
    assert (await http.get("/no/such/view", headers={"Accept": "*/*"})).json()["code"] == "NotFound"
    assert (await http.get("/api/nothing")).json()["code"] == "NotFound"


async def test_files_come_compressed_and_stay_for_a_year(http: httpx.AsyncClient, built_page: Path) -> None:
    loaded = ASSET.findall((await http.get("/")).text)
    assert {Path(each).suffix for each in loaded} == {".js", ".css"}
    for address in loaded:
        path = built_page / address[1:]
        tags = set()
        for accepted, encoding, ending in (("br, gzip", "br", ".br"), ("gzip", "gzip", ".gz"), ("zstd", None, "")):
            stored = path.with_name(path.name + ending) if path.with_name(path.name + ending).exists() else path
            asked = {"Accept-Encoding": accepted}
            async with http.stream("GET", address, headers=asked) as file:
                assert b"".join([each async for each in file.aiter_raw()]) == stored.read_bytes()
            assert file.headers.get("content-encoding") == (encoding if stored != path else None)
            assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert "Accept-Encoding" in file.headers["vary"]
            assert file.headers["x-content-type-options"] == "nosniff"
            async with http.stream("HEAD", address, headers=asked) as head:
                assert head.headers["content-length"] == file.headers["content-length"]
                assert [each async for each in head.aiter_raw()] == []
            again = await http.get(address, headers={**asked, "If-None-Match": file.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            tags.add((file.headers["etag"], stored))
        assert len({etag for etag, _ in tags}) == len(tags), "each form of a file has a tag of its own"
    missing = await http.get("/assets/index-00000000.js")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/json")
    icon = await http.get("/favicon.svg")
    assert (icon.status_code, icon.headers["content-type"]) == (200, "image/svg+xml")
    for hidden in ("/.built-from", "/index.html.br", "/index.html.gz", "/assets/..%2findex.html"):
        assert (await http.get(hidden, headers={"Accept": "*/*"})).status_code == 404, hidden


async def test_the_page_is_told_what_it_must_know(http: httpx.AsyncClient, mongod_uri: str) -> None:
    told = await http.get("/config.json")
    assert told.headers["cache-control"] == "no-store"
    assert told.json() == {"clerkPublishableKey": None, "isDevelopment": True, "version": "0.1.0"}
    async with open_world(mongod_uri, CLERK_PUBLISHABLE_KEY=KEY, CLERK_JWT_ISSUER_DOMAIN=CLERK) as with_clerk:
        told = await http.get(f"{with_clerk.url}/config.json")
        assert told.json()["clerkPublishableKey"] == KEY
        policy = (await http.get(with_clerk.url)).headers["content-security-policy"]
        assert f"script-src 'self' {CLERK}" in policy
        assert CLERK in policy.partition("connect-src")[2].partition(";")[0]


async def test_a_shared_picture_is_told_to_readers_without_javascript(
    http: httpx.AsyncClient, town: World, meet: Meet
) -> None:
    async with meet("ana") as ana:
        image = await shown(town, ana)
        address = f"/share/{image.id}"
        await change(town, Image, image.id, original_width=64, original_height=48, content_type='image/"><script>')

        page = await http.get(address)

        assert (page.status_code, page.headers["cache-control"]) == (200, "no-cache")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        told = Metas(page.text).told
        assert told["og:url"] == f"{town.url}{address}"
        assert (told["og:image:width"], told["og:image:height"]) == ("64", "48")
        assert told["og:image:type"] == 'image/"><script>'
        assert page.text.count("<script") == (await http.get("/")).text.count("<script")
        assert str(ana.subject) not in page.text
        assert (await http.get(told["og:image"])).status_code == 200
        assert ASSET.findall(page.text), "it is the page itself, for whoever has JavaScript"

        nothing = await http.get(f"/share/{capability_id()}")
        hostile = await http.get("/share/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E")
        told_nothing = {(nothing.status_code, nothing.text), (hostile.status_code, hostile.text)}
        for hidden in (
            {"sharing_enabled": False},
            {"sharing_enabled": True, "share_expires_at": now() - 1},
            {"share_expires_at": None, "is_disabled_by_admin": True},
        ):
            await change(town, Image, image.id, **hidden)
            page = await http.get(address)
            told_nothing.add((page.status_code, page.text))
        ((status, text),) = told_nothing
        assert status == 404
        assert "og:image" not in Metas(text).told


def test_the_pages_types_are_what_the_functions_are_now(tmp_path: Path) -> None:
    written = generate(tmp_path, None, None)
    committed = WEB / "src" / "_generated"
    assert written
    for path in written:
        kept = (committed / path.name).read_text()
        assert kept == path.read_text(), "write them anew: python -m server codegen web/src/_generated"
    assert {each.name for each in committed.iterdir()} == {each.name for each in written}
