"""The page while the network or the server is away: calm, nothing lost, and live again by itself."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from playwright.async_api import FilePayload, expect
from pymongo import AsyncMongoClient

from server.config import Settings, read_settings
from server.processes import listening, serving, working
from server.runtime import open_runtime
from tests.browser.person import Invite, Person
from tests.support.pictures import jpeg, landscape
from tests.support.proxy import Proxy
from tests.support.world import World, free_port, fresh_database

PHOTO: Final = FilePayload(name="landscape.jpg", mimeType="image/jpeg", buffer=landscape(600, 450))
SECOND_PHOTO: Final = FilePayload(name="second.jpg", mimeType="image/jpeg", buffer=jpeg(320, 240))
LOST_SOCKET: Final = re.compile(r"WebSocket connection to .* failed|net::ERR_(CONNECTION|EMPTY|SOCKET|NETWORK)")
"""What Chromium itself prints when a connection fails; a page cannot keep it from doing so."""


async def test_the_network_goes_away_and_comes_back(world: World, invite: Invite) -> None:
    bob, other_tab = await invite("Bob"), await invite("Bob")
    bob.tolerates = LOST_SOCKET
    async with Proxy(world.settings.port) as wire:
        await bob.visit(wire.url)
        await bob.sign_in()
        await bob.mark()
        await bob.pick(PHOTO)
        await bob.has_drawn(1)
        wire.unplug()
        await _stays_calm(bob, drawn=1, balance=9)
        # What happens elsewhere meanwhile is there when the wire is.
        await other_tab.visit(world.url)
        await other_tab.sign_in(balance=9)
        await other_tab.pick(SECOND_PHOTO)
        await other_tab.has_drawn(2)
        await expect(bob.mine).to_have_count(1)
        wire.plug()
        await expect(bob.connection).to_be_hidden()
        await bob.has_credits(8)
        await bob.has_drawn(2)
        await bob.pick(SECOND_PHOTO)
        await other_tab.has_drawn(3)
        await bob.has_drawn(3)
        assert (await bob.seen_statuses())[-1] == "completed"


async def test_what_was_asked_while_the_network_was_away_happens_once(world: World, invite: Invite) -> None:
    carol = await invite("Carol")
    carol.tolerates = LOST_SOCKET
    async with Proxy(world.settings.port) as wire:
        await carol.visit(wire.url)
        await carol.sign_in()
        await carol.mark()
        wire.unplug()
        await expect(carol.connection).to_be_visible()
        await carol.pick(PHOTO)
        await expect(carol.at("upload-state")).to_have_text("Preparing…")
        wire.plug()
        await carol.has_drawn(1)
        await carol.has_credits(9)
        # The answer to this one is cut off on its way, so it is sent twice and must count once.
        wire.hold()
        await carol.mine.first.hover()
        await carol.mine.first.get_by_test_id("feature").click()
        await wire.holding()
        wire.cut()
        await expect(carol.public).to_have_count(1)
        await expect(carol.mine.first.get_by_test_id("feature")).to_be_enabled()
        await expect(carol.mine.first.get_by_test_id("feature")).to_have_attribute("aria-pressed", "true")
        await carol.seen_statuses()


async def test_the_server_restarts(mongod_uri: str, tmp_path: Path, invite: Invite) -> None:
    dora = await invite("Dora")
    dora.tolerates = LOST_SOCKET
    env = {"MONGODB_URI": fresh_database(mongod_uri), "PORT": str(free_port()), "DATA_DIR": str(tmp_path)}
    settings = read_settings(env, default_environment="development")
    async with _served(settings):
        await dora.visit(settings.public_url)
        await dora.sign_in()
        await dora.mark()
        await dora.pick(PHOTO)
        await dora.has_drawn(1)
    await _stays_calm(dora, drawn=1, balance=9)
    async with _served(settings):
        await expect(dora.connection).to_be_hidden()
        await dora.has_drawn(1)
        await dora.pick(SECOND_PHOTO)
        await dora.has_drawn(2)
        await dora.has_credits(8)
        await dora.seen_statuses()
    async with AsyncMongoClient[dict[str, object]](env["MONGODB_URI"]) as client:
        await client.drop_database(client.get_default_database().name)


@asynccontextmanager
async def _served(settings: Settings) -> AsyncIterator[None]:
    """One run of the product; unlike a `World` it leaves its database to the next one."""
    async with (
        listening(settings) as listener,
        open_runtime(settings) as runtime,
        serving(settings, runtime, listener),
        working(runtime),
    ):
        yield


async def _stays_calm(person: Person, *, drawn: int, balance: int) -> None:
    await expect(person.connection).to_be_visible()
    await expect(person.connection).to_contain_text("Reconnecting…")
    await person.has_drawn(drawn)
    await person.has_credits(balance)
    await expect(person.at("notice")).to_have_count(0)
