"""The story of faults behind us: the database and the functions. Who watches sees a pause at worst, and never a wrong number."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import ConnectionFailure

from schema.users import User
from schema.values import Id, seconds
from schema.writer import Writer
from server import executor
from server.store.embedded import EmbeddedMongod
from server.store.tail import MAX_HELD_EVENTS
from subscriptions.log import MAX_COMMITS
from tests.scenarios.faulty_functions import MANY, UNLUCKY, door, faulty
from tests.scenarios.stock import commit, now
from tests.support.http import http_client
from tests.support.live import DEADLINE_S, LiveClient, Refusal, Screen, Value, world_client
from tests.support.oplog import change_what_is_too_large, forgetful_mongod, roll_the_oplog
from tests.support.proxy import Proxy
from tests.support.world import World, open_world

ROWS = 25_000
"""Deleted in one go: more than twice what the log holds. A hundred thousand behave the same, but take the suite's time."""
DISTINCT = 3
"""Queries that `audience` watches: two of one person's, and one that two people watch."""


def user_of(name: str, balance: int) -> User:
    return User(id=Id(f"id-{name}"), user_id=name, credits=balance, created_at=now(), updated_at=now())


async def set_credits(world: World, balance: int, *names: str) -> None:
    """Commit a balance of each, all at once; waits until everybody could see it."""

    async def work(db: Writer) -> None:
        for name in names:
            found = await db.get(User, Id(f"id-{name}"))
            if found is None:
                await db.insert(user_of(name, balance))
            else:
                await db.patch(found, credits=balance)

    await commit(world, work)


async def counted(world: World) -> Mapping[str, float]:
    """What operators see."""
    async with http_client() as http:
        text = (await http.get(f"{world.url}/metrics")).text
    return {name: float(value) for name, value in (line.split() for line in text.splitlines() if line[0] != "#")}


def grown(before: Mapping[str, float], after: Mapping[str, float], name: str) -> float:
    return after[name] - before[name]


class Audience:
    """Two people with screens: a balance that both watch, and two things that only one does."""

    def __init__(self, ana: LiveClient, ben: LiveClient, shared: tuple[Screen, Screen], more: tuple[Screen, Screen]):
        self.ana, self.ben, self.shared, (self.pair, self.traces) = ana, ben, shared, more

    async def all_see(self, balance: int) -> None:
        """Wait until everybody is shown this balance of ana's and ben's."""
        for screen in self.shared:
            await screen.until(lambda value: value == balance)
        await self.pair.until(lambda value: value == [balance, balance])

    def saw_nothing_but(self, *balances: int) -> None:
        """Each was shown some of these, in order, and the last one; and no step showed two that were not true at once."""
        for screen in self.shared:
            assert screen.values == [each for each in balances if each in screen.values]
            assert screen.values[-1] == balances[-1]
        assert all(len(set(value)) == 1 for value in self.pair.values)
        together = [
            (step.value(self.shared[0]), step.value(self.pair)[0])
            for step in self.ana.steps
            if {self.shared[0].query_id, self.pair.query_id} <= step.shown.keys()
        ]
        assert together
        assert all(one == other for one, other in together)


@asynccontextmanager
async def audience(world: World) -> AsyncIterator[Audience]:
    """People who watch the credits of ana and ben, which are 1."""
    await set_credits(world, 1, "ana", "ben")
    async with world_client(world) as ana, world_client(world) as ben:
        shared = (await ana.watch("faults:balance", name="ana"), await ben.watch("faults:balance", name="ana"))
        more = (await ana.watch("faults:pair", one="ana", other="ben"), await ben.watch("faults:traces"))
        gathered = Audience(ana, ben, shared, more)
        await gathered.all_see(1)
        yield gathered


@pytest.fixture
async def place(mongod_uri: str) -> AsyncIterator[World]:
    """A product with functions that go wrong."""
    async with open_world(mongod_uri, registry=faulty()) as opened:
        yield opened


# --- the database goes away ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def mongod(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedMongod]:
    """A mongod that may be hurt."""
    async with EmbeddedMongod(tmp_path_factory.mktemp("mongod")) as started:
        yield started


async def test_the_primary_steps_down(mongod: EmbeddedMongod) -> None:
    async with open_world(mongod.uri, registry=faulty()) as world, audience(world) as people:
        before = await counted(world)
        with suppress(ConnectionFailure):  # whoever asks may be cut off with everybody else
            await world.runtime.store.client.admin.command({"replSetStepDown": 1, "force": True})
        await set_credits(world, 2, "ana", "ben")
        await people.all_see(2)
        people.saw_nothing_but(1, 2)
        after = await counted(world)
        assert grown(before, after, "anime_feed_gaps_total") == 0


async def test_mongod_is_killed_and_comes_back(mongod: EmbeddedMongod) -> None:
    async with open_world(mongod.uri, registry=faulty()) as world, audience(world) as people:
        before = await counted(world)
        assert mongod.pid is not None
        os.kill(mongod.pid, signal.SIGKILL)
        await set_credits(world, 2, "ana", "ben")
        await people.all_see(2)
        await set_credits(world, 3, "ana", "ben")
        await people.all_see(3)
        people.saw_nothing_but(1, 2, 3)
        after = await counted(world)
        assert grown(before, after, "anime_feed_reopened_total") >= 1
        assert grown(before, after, "anime_feed_gaps_total") == 0
        assert grown(before, after, "anime_sockets_closed_total") == 0


# --- the feed loses its way ------------------------------------------------------------------------------------------


async def test_history_that_has_aged_out_costs_one_run_of_every_query(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is out of reach for so long that the oplog forgets where the feed was; meanwhile somebody writes."""
    async with (
        forgetful_mongod(tmp_path, monkeypatch) as mongod,
        Proxy(mongod.port) as wire,
        open_world(f"{wire.url.replace('http', 'mongodb', 1)}/?directConnection=true", registry=faulty()) as world,
        audience(world) as people,
        AsyncMongoClient[dict[str, Any]](mongod.uri) as elsewhere,
    ):
        before = await counted(world)
        missed_at = await world.runtime.store.newest()
        wire.unplug()
        users = elsewhere[world.runtime.store.database.name]["users"]
        await users.update_many({}, {"$set": {"credits": 2.0}})
        await roll_the_oplog(elsewhere, past=missed_at)
        wire.plug()
        await people.all_see(2)
        after = await counted(world)
        assert grown(before, after, "anime_feed_gaps_total") == 1
        assert grown(before, after, "anime_query_executions_total") == DISTINCT
        await set_credits(world, 3, "ana", "ben")
        await people.all_see(3)
        assert people.shared[1].values == [1, 2, 3]
        assert people.traces.values == [0]


async def test_an_event_too_large_for_any_reply_costs_one_run_of_every_query(place: World) -> None:
    async with audience(place) as people:
        before = await counted(place)
        await change_what_is_too_large(place.runtime.store.database["users"])
        await set_credits(place, 2, "ana", "ben")
        await people.all_see(2)
        people.saw_nothing_but(1, 2)
        between = await counted(place)
        await set_credits(place, 3, "ana", "ben")
        await people.all_see(3)
        after = await counted(place)
        assert grown(before, after, "anime_feed_gaps_total") == 1
        # Twice where the commit was delivered by itself, once where it was met within the gap; `traces` only in the gap.
        assert DISTINCT <= grown(before, between, "anime_query_executions_total") <= 2 * DISTINCT - 1
        assert grown(between, after, "anime_query_executions_total") == DISTINCT - 1


async def test_a_missing_image_concerns_the_table_and_nobody_else(place: World) -> None:
    async with audience(place) as people:
        await set_credits(place, 1, "eve")
        await place.runtime.store.database.command(
            {"collMod": "users", "changeStreamPreAndPostImages": {"enabled": False}}
        )
        before = await counted(place)
        await set_credits(place, 2, "eve")
        steps = len(people.ana.steps)
        after = await counted(place)
        assert grown(before, after, "anime_feed_coarse_commits_total") == 1
        await set_credits(place, 2, "ana", "ben")
        await people.all_see(2)
        people.saw_nothing_but(1, 2)
        # What did not change was not sent, however often it was asked.
        assert [step.changed for step in people.ana.steps[steps:] if step.changed] == [
            {people.shared[0].query_id, people.pair.query_id}
        ]


async def test_a_huge_transaction_arrives_whole(place: World) -> None:
    """Of more changes than are kept of a transaction; the first and the last are on one screen."""
    async with audience(place) as people:
        before = await counted(place)
        store = place.runtime.store
        users, rows = store.database["users"], range(2 * MAX_HELD_EVENTS)
        many = [{"_id": f"id-{each}", "userId": f"many-{each}", "credits": 1.0} for each in rows]
        async with store.client.start_session() as session, await session.start_transaction():
            await users.update_one({"_id": "id-ana"}, {"$set": {"credits": 2.0}}, session=session)
            await users.insert_many(many, session=session, bypass_document_validation=True)
            await users.update_one({"_id": "id-ben"}, {"$set": {"credits": 2.0}}, session=session)
        await people.all_see(2)
        people.saw_nothing_but(1, 2)
        after = await counted(place)
        assert grown(before, after, "anime_feed_coarse_commits_total") == 1
        assert grown(before, after, "anime_query_executions_total") == DISTINCT - 1


async def test_a_delete_of_more_than_the_log_holds(place: World) -> None:
    """Each is a commit; who watches them has a look for each batch, not for each of them."""
    traces = place.runtime.store.database["auditLog"]
    rows = ROWS
    entry = {"_creationTime": 0.0, "actor": "eve", "action": "noted", "target": ""}
    await traces.insert_many([{"_id": f"t{each}", **entry, "createdAt": float(each)} for each in range(rows)])
    async with audience(place) as people:
        await people.traces.until(lambda value: value == MANY)
        before = await counted(place)
        gone = asyncio.create_task(traces.delete_many({}))
        await set_credits(place, 2, "ana", "ben")
        await gone
        async with asyncio.timeout(3 * DEADLINE_S):
            await place.runtime.hub.alarms.reached(await place.runtime.store.newest())
        await people.traces.until(lambda value: value == 0)
        await people.all_see(2)
        people.saw_nothing_but(1, 2)
        after = await counted(place)
        assert grown(before, after, "anime_feed_events_total") >= rows
        assert grown(before, after, "anime_query_executions_total") < rows / 100
        assert grown(before, after, "anime_feed_gaps_total") == 0
        assert f"{MAX_COMMITS} of {MAX_COMMITS} commits" in repr(place.runtime.hub.log)
        assert people.traces.values[-1] == 0


# --- a function goes wrong -------------------------------------------------------------------------------------------


async def test_a_query_that_raises_is_one_refusal_and_answers_again_when_it_can(place: World) -> None:
    async with audience(place) as people:
        unlucky = await people.ana.watch("faults:raises", name="ana")
        before = await counted(place)
        await set_credits(place, UNLUCKY, "ana", "ben")
        await people.all_see(UNLUCKY)
        await refused(people.ana, unlucky)
        await set_credits(place, 3, "ana", "ben")
        await people.all_see(3)
        await shown(people.ana, unlucky, 3)
        after = await counted(place)
        assert grown(before, after, "anime_queries_failed_total") == 1
        assert grown(before, after, "anime_queries_timed_out_total") == 0
        people.saw_nothing_but(1, UNLUCKY, 3)


async def test_a_query_that_hangs_is_refused_in_time_and_tried_again(
    mongod_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "RETRY_TIMED_OUT", seconds(0.2))
    async with (
        open_world(mongod_uri, registry=faulty(), QUERY_TIMEOUT_S="1") as place,
        audience(place) as people,
        world_client(place) as eve,
    ):
        hanging = await eve.watch("faults:waits", name="ana")
        before = await counted(place)
        await set_credits(place, UNLUCKY, "ana", "ben")
        await people.all_see(UNLUCKY)  # nobody else waits for it
        await refused(eve, hanging)
        door.set()
        try:
            await shown(eve, hanging, UNLUCKY)
        finally:
            door.clear()
        after = await counted(place)
        assert grown(before, after, "anime_queries_timed_out_total") >= 1
        assert grown(before, after, "anime_queries_failed_total") >= 1
        people.saw_nothing_but(1, UNLUCKY)


async def refused(client: LiveClient, screen: Screen) -> Refusal:
    """Wait until the screen shows a refusal: a sentence for everybody, and nothing of what went wrong."""

    def look() -> Refusal | None:
        try:
            return screen.value and None
        except Refusal as refusal:
            return refusal

    await client.turned(lambda: look() is not None, lambda: f"no refusal on {screen!r}")
    refusal = look()
    assert refusal is not None
    assert "mistake" not in f"{refusal.message}{refusal.data}"
    return refusal


async def shown(client: LiveClient, screen: Screen, wanted: Value) -> None:
    """Wait until the screen shows a value, whatever refusals come before it."""

    def holds() -> bool:
        with suppress(Refusal):
            return bool(screen.value == wanted)
        return False

    await client.turned(holds, lambda: f"shown last: {screen.answers[-1]!r}")
