"""The story of faults before us: clients that do not read, do not answer, or all come back at once. Nobody else notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from operator import eq

import msgspec

from tests.scenarios.faulty_functions import faulty
from tests.scenarios.test_faults import counted, grown, set_credits
from tests.support.http import http_client
from tests.support.live import DEADLINE_S, LiveClient, Screen, world_client
from tests.support.proxy import Proxy
from tests.support.world import World, open_world

PAUSE_S = 0.05
CROWD = 300
SCREENS = 10
STUCK_S = 0.5


def through(world: World, wire: Proxy) -> World:
    """The same product, at the other end of a wire."""
    return World(msgspec.structs.replace(world.settings, public_url=wire.url), world.runtime)


@asynccontextmanager
async def opened(mongod_uri: str, **variables: str) -> AsyncIterator[tuple[World, Proxy]]:
    """A product, and a wire to it."""
    async with open_world(mongod_uri, registry=faulty(), **variables) as world, Proxy(world.settings.port) as wire:
        yield world, wire


async def until_counted(world: World, before: Mapping[str, float], name: str, by: float) -> None:
    """Wait until a counter has grown by so much."""
    async with asyncio.timeout(DEADLINE_S):
        while grown(before, await counted(world), name) < by:  # noqa: ASYNC110  # only asking tells
            await asyncio.sleep(PAUSE_S)


def number(value: str) -> int:
    return int(value.partition(":")[0])


async def test_who_stops_reading_is_cut_off_and_finds_the_right_answer(mongod_uri: str) -> None:
    async with opened(mongod_uri) as (world, wire):
        assert world.runtime.readings.endpoint is not None
        world.runtime.readings.endpoint.stuck_s = STUCK_S
        await set_credits(world, 1, "ana")
        async with world_client(through(world, wire)) as stuck, world_client(world) as quick:
            weight = await stuck.watch("faults:heavy", name="ana")
            light = await quick.watch("faults:balance", name="ana")
            before, credit = await counted(world), 1
            wire.hold()
            async with asyncio.timeout(DEADLINE_S):
                # What is committed while the line is full is skipped, so how many commits fill it is not known beforehand.
                while grown(before, await counted(world), "anime_sockets_stuck_total") < 1:
                    credit += 1
                    await set_credits(world, credit, "ana")
                    await light.until(partial(eq, credit))
            wire.cut()
            await stuck.disconnect()
            await stuck.connect()
            await again(stuck, weight, credit)
            after = await counted(world)
            assert grown(before, after, "anime_sockets_stuck_total") == 1
            assert grown(before, after, "anime_sockets_closed_total") == 1
            assert after["anime_sockets"] == 2


async def again(client: LiveClient, screen: Screen, credit: int) -> None:
    """Wait for an answer on a line that was opened anew."""
    client._end = None  # why the line before ended is known
    await screen.until(lambda value: number(value) == credit)


async def test_a_half_open_socket_is_noticed_by_its_silence(mongod_uri: str) -> None:
    """The network has gone without a word: no byte arrives, and nobody closes."""
    async with opened(mongod_uri, SOCKET_PING_S="1") as (world, wire):
        await set_credits(world, 1, "ana")
        async with world_client(through(world, wire)) as lost, world_client(world) as quick:
            weight = await lost.watch("faults:heavy", name="ana")
            light = await quick.watch("faults:balance", name="ana")
            before = await counted(world)
            wire.hold()
            await until_counted(world, before, "anime_sockets_silent_total", 1)
            await until_counted(world, before, "anime_sockets_closed_total", 1)
            await set_credits(world, 2, "ana")
            await light.until(lambda value: bool(value == 2))
            wire.cut()
            await lost.disconnect()
            await lost.connect()
            await again(lost, weight, 2)
            after = await counted(world)
            assert grown(before, after, "anime_sockets_silent_total") == 1
            assert after["anime_sockets"] == 2


async def test_all_reconnect_at_once_and_each_answer_is_computed_once(mongod_uri: str) -> None:
    async with opened(mongod_uri) as (world, wire), http_client() as http:
        names = [f"member-{each}" for each in range(SCREENS)]
        await set_credits(world, 1, *names)
        crowd = [LiveClient(through(world, wire), None, None, http) for _ in range(CROWD)]
        for client in crowd:
            await client.connect()
        screens = [
            await client.watch("faults:balance", name=names[each % SCREENS]) for each, client in enumerate(crowd)
        ]
        async with world_client(world) as quick:
            light = await quick.watch("faults:balance", name=names[0])
            before = await counted(world)
            wire.unplug()
            await until_counted(world, before, "anime_sockets_closed_total", CROWD)
            await set_credits(world, 2, *names)
            await light.until(lambda value: bool(value == 2))
            wire.plug()
            await asyncio.gather(*(back(client) for client in crowd))
            await asyncio.gather(*(screen.until(lambda value: bool(value == 2)) for screen in screens))
            after = await counted(world)
        assert {tuple(screen.values) for screen in screens} == {(1, 2)}
        # Once each; twice at most, should the feed's pulse come in between and move the moment that is asked for.
        assert SCREENS <= grown(before, after, "anime_query_executions_total") <= 2 * SCREENS
        assert after["anime_sockets"] == CROWD + 1
        await asyncio.gather(*(client.disconnect() for client in crowd))


async def back(client: LiveClient) -> None:
    """Open another line after the first was cut."""
    await client.disconnect()
    client._end = None
    await client.connect()
