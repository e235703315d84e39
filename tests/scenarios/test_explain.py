"""The story of somebody who wants to know why a query ran: beside a running product, with nothing but its data folder."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from schema.values import Millis
from server.auth.grants import EXPLAIN_LIFETIME_MS, Grants
from server.web.explain import NotTold, Remembered, ask
from subscriptions.client import ClientMachine
from tests.scenarios.stock import paged, put, result_of
from tests.support.http import http_client
from tests.support.live import world_client
from tests.support.processes import DEADLINE_S, INHERITED, ROOT, line, running
from tests.support.world import World, free_port

WALL = "images:getPublicGallery"
Forge = Callable[[Grants, Millis], str | None]
GUIDE = (ROOT / "docs/operations.md").read_text()


async def command(*words: str, **variables: str) -> tuple[int, str]:
    """Run `python -m server` with these words; its status, and what it said."""
    env = {name: os.environ[name] for name in INHERITED if name in os.environ}
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", *words),
        cwd=ROOT,
        env={**env, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(DEADLINE_S):
        said, _ = await started.communicate()
    return started.returncode or 0, said.decode()


async def test_a_newcomer_asks_beside_make_run(tmp_path: Path) -> None:
    """The data folder is locked by the running product; both commands work on its database all the same."""
    port = str(free_port())
    where = {"DATA_DIR": str(tmp_path), "PORT": port}
    async with running("dev", **where) as dev:
        await dev.says("is ready")
        assert await command("admin", "grant", "ana", **where) == (0, "ana is an administrator now\n")
        watcher = ClientMachine(uuid4())
        watcher.subscribe(WALL, paged())
        async with line(f"http://127.0.0.1:{port}", watcher) as open_line:
            await open_line.until(lambda: watcher.version.ts > 0)
            status, said = await command("explain", WALL, **where)
        assert status == 0, said
        assert "  moderationSettings by_id\n" in said
        assert "isFeatured = true, isDisabledByAdmin = false" in said
        assert "the last 1 run, the newest first; 1 answer now, shown 1 time\n" in said
        assert "because it was asked for the first time that is remembered" in said
        for label in ("asked ", "answered ", "shared by ", "runs again ", "read set: ", "server "):
            assert f"\n{label}" in said
            assert f"\n{label}" in GUIDE, "the example shows what is printed"
        status, said = await command("explain", WALL, **{**where, "PORT": str(free_port())})
        assert status == 0
        assert "No server answers at" in said


async def test_without_a_server_it_evaluates_by_itself(tmp_path: Path) -> None:
    where = {"DATA_DIR": str(tmp_path), "PORT": str(free_port())}
    status, said = await command("explain", "users:getCurrentUserCredits", "--as", "ana", **where)
    assert status == 0
    assert '  users by_userId\n      userId = "ana"\n' in said
    assert "nobody but ana: it looks at the caller's subject" in said
    assert await command("explain", "images:getImageById", **where) == (
        2,
        "error: images:getImageById: imageId: is required. It takes imageId: --args '{\"imageId\": ...}'.\n",
    )


async def told(world: World, path: str) -> Remembered:
    """What the world's server remembers, asked as the command asks."""
    async with http_client() as http:
        return await ask(http, world.url, path, world.runtime.grants.explain_permit(path, now(world)))


def now(world: World) -> Millis:
    """The server's clock, as it was a moment ago."""
    return world.runtime.hub.moved_at


async def test_a_run_is_explained_by_the_commit_that_caused_it(world: World) -> None:
    async with world_client(world, "ana") as ana, world_client(world) as one, world_client(world) as another:
        (image,) = await put(world, result_of("ana", 1.0))
        walls = [await each.watch(WALL, **paged()) for each in (one, another)]
        await ana.mutation("images:updateFeaturedStatus", imageId=image.id, isFeatured=True)
        for wall in walls:
            await wall.until(lambda page: len(page["page"]) == 1)
        remembered = await told(world, WALL)
    newest, first = remembered.runs[0], remembered.runs[-1]
    assert (remembered.answers, remembered.shown) == (1, 2)
    assert (first.reason, first.shown_to, first.asker) == ("first", 2, ())
    assert (newest.reason, newest.shown_to, newest.cost.documents) == ("commit", None, 2)
    assert newest.met is not None
    assert newest.met.key is not None
    assert newest.met.keys.table == "images"
    assert newest.met.key[-1][1] == image.id
    assert newest.because_ts is not None
    assert first.ts < newest.because_ts <= newest.ts


async def test_an_answer_of_ones_own_names_its_owner(world: World) -> None:
    async with world_client(world, "ana") as ana:
        await ana.watch("users:getCurrentUserCredits")
        remembered = await told(world, "users:getCurrentUserCredits")
    assert [each.asker for each in remembered.runs] == [(("subject", "ana"),)]


@pytest.mark.parametrize(
    "forged",
    [
        lambda keys, at: None,
        lambda keys, at: "Bearer",
        lambda keys, at: f"Basic {keys.explain_permit(WALL, at)}",
        lambda keys, at: f"Bearer {keys.explain_permit('images:getImages', at)}",
        lambda keys, at: f"Bearer {keys.explain_permit(WALL, at - EXPLAIN_LIFETIME_MS)}",
        lambda keys, at: f"Bearer {keys.file_key(WALL)}",
        lambda keys, at: f"Bearer {keys.upload_token('ana', at, WALL)}",
        lambda keys, at: f"Bearer {Grants(bytes(32)).explain_permit(WALL, at)}",
        lambda keys, at: f"Bearer {keys.explain_permit(WALL, at)}x",
    ],
    ids=["none", "empty", "scheme", "another function", "late", "file key", "upload", "another key", "longer"],
)
async def test_nobody_else_is_told(town: World, forged: Forge) -> None:
    header = forged(town.runtime.grants, now(town))
    async with http_client() as http:
        reply = await http.get(
            f"{town.url}/api/explain",
            params={"function": WALL},
            headers={} if header is None else {"authorization": header},
        )
    assert (reply.status_code, reply.json()["code"]) == (403, "Forbidden")


async def test_an_administrators_token_is_no_permit(town: World) -> None:
    """Who may moderate may not see whom every function was run for."""
    headers = {"authorization": f"Bearer {await town.token('explaining admin', admin=True)}"}
    async with http_client() as http:
        reply = await http.get(f"{town.url}/api/explain", params={"function": WALL}, headers=headers)
    assert reply.status_code == 403


async def test_who_asks_the_wrong_server_is_told_so(town: World) -> None:
    permit = Grants(bytes(32)).explain_permit(WALL, now(town))
    async with http_client() as http:
        with pytest.raises(NotTold, match="works on another database"):
            await ask(http, town.url, WALL, permit)
        with pytest.raises(NotTold, match="is not this product"):
            await ask(http, f"{town.url}/healthz?", WALL, permit)
        with pytest.raises(NotTold, match="No server answers at"):
            await ask(http, f"http://127.0.0.1:{free_port()}", WALL, permit)
