"""The story of three processes that show one wall, of the one among them that runs it, and of the Redis between them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient

from schema.images import Image
from server.config import read_settings
from server.explain import remembered_text
from server.fleet import answers, line
from server.processes import listening, serving
from server.runtime import open_runtime
from server.web.explain import Remembered
from subscriptions.answers import Question
from subscriptions.effects import Value
from tests.scenarios.stock import change, paged, put, result_of
from tests.support.live import LiveClient, Screen, world_client
from tests.support.redis import RedisServer, redis_server
from tests.support.world import World, free_port, fresh_database, give_key

WALL = "images:getPublicGallery"
ASKED = b'{"paginationOpts":{"cursor":null,"numItems":100}}'
PUBLIC_URL = "http://anime.test"
PICTURES = 12
CHANGES = 50
NEVER_S = 60.0
"""Patience of tests in which nobody may lose it."""


class Neighbour(World):
    """One of several behind one public address, reached at its own."""

    @property
    def url(self) -> str:
        return self.settings.local_url


class Street:
    """Three processes' worth of product on one database, and somebody who watches the wall at each."""

    def __init__(self, worlds: list[Neighbour], redis: RedisServer) -> None:
        self.worlds, self.redis = worlds, redis
        self.walls: list[Screen] = []
        self._number = 0

    @property
    def executions(self) -> int:
        """Queries run by all of them."""
        return sum(world.runtime.hub.executions for world in self.worlds)

    def counted(self, name: str) -> int:
        """A number of `/metrics`, over all of them."""
        return int(sum(world.runtime.fleet.metrics()[name] for world in self.worlds))

    async def change(self) -> None:
        """Somebody changes a picture on the wall, and everybody sees it; what they see is what the database says."""
        self._number += 1
        mark = f"data:,{self._number}"
        await change(self.worlds[0], Image, self.picture, placeholder_blur_data_url=mark)
        await asyncio.gather(*(wall.until(lambda page: mark in str(page)) for wall in self.walls))
        fresh = await self.worlds[0].runtime.executor.evaluate(
            Question(WALL, ASKED, None), None, self.worlds[0].runtime.hub.position
        )
        assert isinstance(fresh.result, Value)
        assert [wall.answers[-1] for wall in self.walls] == [fresh.result.value] * len(self.walls)

    async def cost(self, changes: int) -> int:
        """How many queries were run for so many changes."""
        before = self.executions
        for _ in range(changes):
            await self.change()
        return self.executions - before

    async def until_alone(self, are_alone: bool) -> None:
        """Wait until every process has noticed that Redis is away, or there."""
        async with asyncio.timeout(NEVER_S):
            fleets = [world.runtime.fleet for world in self.worlds]
            while any(each.is_alone is not are_alone for each in fleets):  # noqa: ASYNC110  # nothing but asking tells
                await asyncio.sleep(0.01)

    async def open(self, watchers: list[LiveClient]) -> None:
        """Put pictures on the wall, and somebody in front of it at each."""
        pictures = await put(
            self.worlds[0],
            *(result_of("ana", 1.0, is_featured=True, featured_at=float(number)) for number in range(PICTURES)),
        )
        self.picture = pictures[0].id
        await asyncio.gather(
            *(world.runtime.hub.alarms.reached(self.worlds[0].runtime.hub.position) for world in self.worlds)
        )
        self.walls = [await watcher.watch(WALL, **paged()) for watcher in watchers]


@asynccontextmanager
async def open_street(mongod_uri: str, redis: RedisServer) -> AsyncIterator[Street]:
    uri = fresh_database(mongod_uri)
    async with AsyncMongoClient[dict[str, object]](uri) as client, AsyncExitStack() as stack:
        worlds = []
        for _ in range(3):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="anime-street-"))
            give_key(Path(folder))
            env = {"MONGODB_URI": uri, "PORT": str(free_port()), "DATA_DIR": folder, "PUBLIC_URL": PUBLIC_URL}
            settings = read_settings({**env, "REDIS_URL": redis.url}, default_environment="development")
            listener = await stack.enter_async_context(listening(settings))
            runtime = await stack.enter_async_context(open_runtime(settings))
            await stack.enter_async_context(serving(settings, runtime, listener))
            worlds.append(Neighbour(settings, runtime))
        street = Street(worlds, redis)
        await street.until_alone(False)
        watchers = [await stack.enter_async_context(world_client(world)) for world in worlds]
        await street.open(watchers)
        yield street
        await stack.aclose()
        for name in (client.get_default_database().name, f"{client.get_default_database().name}_blobs"):
            await client.drop_database(name)


@pytest.fixture(scope="module")
async def street(mongod_uri: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    """Nobody there goes on alone because this machine is busy."""
    with pytest.MonkeyPatch.context() as patient:
        for module, name in (
            (line, "MEET_S"), (line, "PATIENCE_S"), (answers, "LEAST_WAIT_S"), (answers, "MOST_WAIT_S"),
        ):  # fmt: skip
            patient.setattr(module, name, NEVER_S)
        async with (
            redis_server(tmp_path_factory.mktemp("redis")) as redis,
            open_street(mongod_uri, redis) as opened,
        ):
            yield opened


async def test_a_change_is_run_once_for_all_processes(street: Street) -> None:
    assert await street.cost(CHANGES) == CHANGES
    assert street.counted("anime_answers_adopted_total") == 2 * CHANGES
    assert street.counted("anime_fleet_alone") == 0
    newest = [world.runtime.hub.history.told(WALL)[0] for world in street.worlds]
    told = [remembered_text(Remembered("one of them", (run,), 1, 1)) for run in newest]
    assert sum("to adopt what another process ran" in text for text in told) == 2


async def test_redis_freezes_goes_is_flushed_and_comes_back(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every change is seen by everybody, as the database has it, whatever Redis does; and while it is there, run once."""
    assert await street.cost(3) == 3

    with monkeypatch.context() as hurried:
        hurried.setattr(line, "PATIENCE_S", 0.05)
        street.redis.freeze()
        await street.cost(3)
        await street.until_alone(True)
        assert await street.cost(3) == 9
    street.redis.thaw()
    await street.until_alone(False)
    assert await street.cost(3) == 3

    await street.redis.flush()
    assert await street.cost(3) == 3

    await street.redis.kill()
    assert await street.cost(3) == 9
    await street.redis.start()
    await street.until_alone(False)
    assert await street.cost(3) == 3
