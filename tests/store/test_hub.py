"""The hub on a real store and a real feed: asked once for all who may share, and nothing missed in between."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import Raw
from pymongo import AsyncMongoClient

from schema.reader import Reader
from schema.readset import ReadSet
from schema.users import User
from schema.values import Id, Millis, Timestamp
from server.auth.grants import SignedCursors
from server.store.mongo import MongoStore, MongoTransaction
from server.store.pulse import Pulse
from server.store.setup import set_up
from server.store.tail import Tail
from subscriptions import alarms, answers
from subscriptions.answers import Answer, Question
from subscriptions.effects import Value
from subscriptions.hub import Evaluated, Hub
from subscriptions.log import Log

DEADLINE_S = 60.0
NOW = 1_700_000_000_000.0
LOOKS_AT_THE_CALLER = "mine"

Interlude = Callable[[], Awaitable[None]]


def clock() -> Millis:
    return time.time() * 1_000


def credits_of(name: str) -> Question:
    """Anybody's balance; the answer is the same for whoever asks."""
    return Question("credits", name.encode(), None)


def mine() -> Question:
    """The caller's own balance."""
    return Question(LOOKS_AT_THE_CALLER, b"{}", None)


class Screen:
    """A watcher that notes what it was told."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self._told = asyncio.Event()

    def invalidated(self, query_id: int) -> None:
        self.told.append(query_id)
        self._told.set()

    async def is_told(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await self._told.wait()


class Stage:
    """A hub, its feed and its pulse on one database, with a query function that a test may hold up."""

    def __init__(self, store: MongoStore, start: Timestamp) -> None:
        self.store = store
        self.pulse = Pulse(store, f"stage-{secrets.token_hex(4)}", clock)
        self.hub: Hub[str | None] = Hub(
            Log(start),
            self._evaluate,
            facet=lambda caller, _: caller,
            nudge=self.pulse.nudge,
            clock=clock,
        )
        self.tail = Tail(store, start, deliver=self.hub.deliver, lost=self.hub.lost)
        self.after_reading: Interlude | None = None
        self.deadline: Millis | None = None

    async def _evaluate(self, question: Question, caller: str | None, ts: Timestamp) -> Evaluated:
        reader = Reader(self.store.snapshot(ts), SignedCursors(bytes(32)))
        is_personal = question.path == LOOKS_AT_THE_CALLER
        name = (caller or "") if is_personal else question.arguments.decode()
        user = await reader.one(User.by_user_id.eq(user_id=name))
        if self.deadline is not None:
            reader.expire_at(self.deadline)
        if self.after_reading is not None:
            await self.after_reading()
        text = b"null" if user is None else str(user.credits).encode()
        return Evaluated(
            Value(Raw(text), text), reader.read_set(frozenset({"subject"}) if is_personal else frozenset())
        )

    async def set_credits(self, name: str, balance: int) -> Timestamp:
        """Commit a balance."""
        document_id = f"id-{name}"

        async def work(db: MongoTransaction) -> None:
            if await db.get(User, document_id) is None:
                await db.insert(User(id=Id(document_id), user_id=name, credits=balance, created_at=NOW, updated_at=NOW))
            else:
                await db.update(User, document_id, {"credits": balance})

        return (await self.store.transact(work))[1]

    async def committed(self, name: str, balance: int) -> Timestamp:
        """Commit a balance and wait until the feed has brought it."""
        ts = await self.set_credits(name, balance)
        async with asyncio.timeout(DEADLINE_S):
            await self.hub.alarms.reached(ts)
        return ts

    async def answer(self, question: Question, caller: str | None = None) -> Answer:
        """Ask at the hub's position."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.hub.answer(question, caller, self.hub.position)


def shown(answer: Answer) -> str:
    assert isinstance(answer.result, Value)
    return bytes(answer.result.value).decode()


@asynccontextmanager
async def at_work(*forever: Awaitable[None]) -> AsyncIterator[None]:
    """Tasks that run meanwhile."""
    tasks = [asyncio.ensure_future(each) for each in forever]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(scope="module")
async def store(mongod_uri: str) -> AsyncIterator[MongoStore]:
    """A database that is set up."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongod_uri)
    opened = MongoStore(client, f"test_{secrets.token_hex(6)}")
    await set_up(opened.database)
    yield opened
    await client.drop_database(opened.database.name)
    await client.close()


@pytest.fixture
async def stage(store: MongoStore) -> AsyncIterator[Stage]:
    """A fresh hub with its feed and its pulse running."""
    await store.database["users"].delete_many({})
    opened = Stage(store, await store.newest())
    async with at_work(opened.tail.run(), opened.pulse.run()):
        yield opened
        await opened.hub.close()


# --- sharing ---------------------------------------------------------------------------------------------------------


async def test_a_hundred_who_ask_at_once_are_answered_by_one_execution(stage: Stage) -> None:
    await stage.committed("ana", 3)
    found = await asyncio.gather(*(stage.answer(credits_of("ana"), f"caller-{number}") for number in range(100)))
    assert stage.hub.executions == 1
    assert {id(each) for each in found} == {id(found[0])}
    assert shown(found[0]) == "3"
    assert await stage.answer(credits_of("ana"), None) is found[0]
    assert stage.hub.executions == 1


async def test_what_looks_at_the_caller_is_shared_by_one_caller_only(stage: Stage) -> None:
    for name, balance in (("ana", 1), ("bob", 2), ("eve", 3)):
        await stage.committed(name, balance)
    callers = ["ana", "bob", "eve"] * 20
    found = await asyncio.gather(*(stage.answer(mine(), caller) for caller in callers))
    assert [shown(each) for each in found] == ["1", "2", "3"] * 20
    assert stage.hub.executions == 3
    assert len({id(each) for each in found}) == 3


async def test_an_answer_is_reused_until_something_it_read_changes(stage: Stage) -> None:
    await stage.committed("ana", 1)
    first = await stage.answer(credits_of("ana"))
    await stage.committed("bob", 9)
    assert await stage.answer(credits_of("ana")) is first
    await stage.committed("ana", 2)
    second = await stage.answer(credits_of("ana"))
    assert (shown(first), shown(second)) == ("1", "2")
    assert stage.hub.executions == 2
    assert not first.is_current


# --- nothing is missed -----------------------------------------------------------------------------------------------


async def test_a_commit_while_the_query_runs_is_not_missed(stage: Stage) -> None:
    """The snapshot is read, then the commit comes through the feed, then the evaluation ends: stale from birth."""
    await stage.committed("ana", 1)

    async def commit() -> None:
        stage.after_reading = None
        await stage.committed("ana", 2)

    stage.after_reading = commit
    answer = await stage.answer(credits_of("ana"))
    assert shown(answer) == "1"
    screen = Screen()
    stage.hub.watch(answer, screen, 7)
    assert screen.told == [7]
    assert shown(await stage.answer(credits_of("ana"))) == "2"


async def test_a_commit_between_answering_and_watching_is_not_missed(stage: Stage) -> None:
    await stage.committed("ana", 1)
    answer = await stage.answer(credits_of("ana"))
    await stage.committed("ana", 2)
    screen = Screen()
    stage.hub.watch(answer, screen, 7)
    assert screen.told == [7]


async def test_a_commit_after_watching_is_told_once(stage: Stage) -> None:
    await stage.committed("ana", 1)
    screen = Screen()
    answer = await stage.answer(credits_of("ana"))
    stage.hub.watch(answer, screen, 7)
    await stage.committed("bob", 1)
    assert screen.told == []
    await stage.committed("ana", 2)
    await stage.committed("ana", 3)
    assert screen.told == [7]
    assert not answer.watchers


async def test_an_older_answer_beside_a_newer_one_of_the_same_question_misses_nothing(stage: Stage) -> None:
    """Two run the same question at different moments, the later one ends first, and a commit comes before watching."""
    early = await stage.committed("ana", 1)
    gate = asyncio.Event()
    stage.after_reading = held = _waiting_for(gate)
    slow = asyncio.create_task(stage.hub.answer(credits_of("ana"), None, early))
    await held.began.wait()
    stage.after_reading = None
    later = await stage.committed("bob", 1)
    newer = await stage.hub.answer(credits_of("ana"), None, later)
    gate.set()
    older = await slow
    assert (older.ts, newer.ts) == (early, later)
    await stage.committed("ana", 2)
    screen = Screen()
    stage.hub.watch(older, screen, 7)
    assert screen.told == [7]


async def test_an_answer_that_was_let_go_of_before_watching_misses_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MAX_IDLE_ANSWERS", 1)
    await stage.committed("ana", 1)
    answer = await stage.answer(credits_of("ana"))
    await stage.answer(credits_of("bob"))
    await stage.committed("ana", 2)
    screen = Screen()
    stage.hub.watch(answer, screen, 7)
    assert screen.told == [7]


class _waiting_for:  # noqa: N801  # used like a function
    """An interlude that waits for an event and says when it began."""

    def __init__(self, gate: asyncio.Event) -> None:
        self._gate, self.began = gate, asyncio.Event()

    async def __call__(self) -> None:
        self.began.set()
        await self._gate.wait()


async def test_a_read_outside_of_queries_is_watched_as_of_its_moment(stage: Stage) -> None:
    ts = await stage.committed("ana", 1)
    reads = ReadSet((User.by_user_id.eq(user_id="ana").keys,))
    early, late = Screen(), Screen()
    watched = stage.hub.watch_reads(reads, ts, early)
    assert early.told == []
    await stage.committed("ana", 2)
    assert early.told == [0]
    stage.hub.watch_reads(reads, ts, late)
    assert late.told == [0]
    stage.hub.unwatch(watched, early, 0)


# --- time ------------------------------------------------------------------------------------------------------------


async def test_an_answer_expires_at_its_deadline(stage: Stage) -> None:
    await stage.committed("ana", 1)
    stage.deadline = clock() + 200
    first = await stage.answer(credits_of("ana"))
    screen = Screen()
    stage.hub.watch(first, screen, 7)
    assert screen.told == []
    await screen.is_told()
    assert clock() >= stage.deadline
    assert first.expired
    stage.deadline = None
    second = await stage.answer(credits_of("ana"))
    assert second is not first
    assert stage.hub.executions == 2


async def test_a_sooner_deadline_is_not_kept_waiting_by_a_later_one(stage: Stage) -> None:
    await stage.committed("ana", 1)
    late, soon = Screen(), Screen()
    stage.deadline = clock() + 3_000_000
    stage.hub.watch(await stage.answer(credits_of("bob")), late, 1)
    stage.deadline = clock() + 50
    stage.hub.watch(await stage.answer(credits_of("ana")), soon, 2)
    await soon.is_told()
    assert late.told == []


# --- history lost ----------------------------------------------------------------------------------------------------


async def test_lost_history_concerns_every_answer_and_every_watch(stage: Stage) -> None:
    ts = await stage.committed("ana", 1)
    screens = [Screen() for _ in range(3)]
    for number, name in enumerate(("ana", "bob")):
        stage.hub.watch(await stage.answer(credits_of(name)), screens[number], number)
    stage.hub.watch_reads(ReadSet((User.by_user_id.eq(user_id="ana").keys,)), ts, screens[2])
    stage.hub.lost(await stage.store.newest())
    assert [each.told for each in screens] == [[0], [1], [0]]
    assert len(stage.hub.answers) == 0
    assert shown(await stage.answer(credits_of("ana"))) == "1"
    assert stage.hub.executions == 3


async def test_what_was_read_before_the_gap_is_stale_when_it_is_watched(stage: Stage) -> None:
    ts = await stage.committed("ana", 1)
    answer = await stage.answer(credits_of("ana"))
    await stage.committed("bob", 1)
    stage.hub.lost(await stage.store.newest())
    one, two = Screen(), Screen()
    stage.hub.watch(answer, one, 1)
    stage.hub.watch_reads(answer.reads, ts, two)
    assert (one.told, two.told) == ([1], [0])


# --- the position ----------------------------------------------------------------------------------------------------


async def test_an_idle_database_reaches_any_moment_because_somebody_waits(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is written, and the pulse would be slow by itself."""
    monkeypatch.setattr(alarms, "PATIENCE_S", 0.01)
    before = stage.hub.position
    wanted = Timestamp(max(before, await stage.store.newest()) + 1)
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*(stage.hub.alarms.reached(wanted) for _ in range(20)))
    assert stage.hub.position >= wanted
    assert stage.pulse.beats >= 1


async def test_waiting_in_order_and_out_of_it(stage: Stage) -> None:
    start = stage.hub.position
    ended: list[int] = []

    async def wait(number: int, ts: Timestamp) -> None:
        await stage.hub.alarms.reached(ts)
        ended.append(number)

    times = [Timestamp(start + step) for step in (1, 3 << 32, 2, 0)]
    waiters = [asyncio.create_task(wait(number, ts)) for number, ts in enumerate(times)]
    await waiters[3]
    waiters[0].cancel()
    async with asyncio.timeout(DEADLINE_S):
        await waiters[2]
        assert 1 not in ended
        await waiters[1]
    assert set(ended) == {1, 2, 3}


# --- bounds ----------------------------------------------------------------------------------------------------------


async def test_only_so_many_answers_are_kept_for_nobody(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_IDLE_ANSWERS", 8)
    screens: dict[int, tuple[Answer, Screen]] = {}
    for number in range(40):
        answer = await stage.answer(credits_of(f"user-{number}"))
        screens[number] = answer, Screen()
        stage.hub.watch(*screens[number], number)
    assert len(stage.hub.answers) == 40
    for number, (answer, screen) in screens.items():
        stage.hub.unwatch(answer, screen, number)
    assert len(stage.hub.answers) == 8
    assert len(list(stage.hub.answers)) == 8
    executions = stage.hub.executions
    assert await stage.answer(credits_of("user-39")) is screens[39][0]
    await stage.answer(credits_of("user-0"))
    assert stage.hub.executions == executions + 1
    for number in range(8):
        await stage.committed(f"user-{39 - number}", number)
    assert len(stage.hub.answers) <= 8
    assert all(screen.told == [] for _, screen in screens.values())


async def test_an_answer_with_two_screens_stays_until_both_have_left(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MAX_IDLE_ANSWERS", 0)
    answer = await stage.answer(credits_of("ana"))
    one, two = Screen(), Screen()
    stage.hub.watch(answer, one, 1)
    stage.hub.watch(answer, two, 2)
    stage.hub.unwatch(answer, one, 1)
    assert len(stage.hub.answers) == 1
    await stage.committed("ana", 5)
    assert (one.told, two.told) == ([], [2])
    assert len(stage.hub.answers) == 0
