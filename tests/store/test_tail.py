"""The change feed on a real mongod: every commit once, in order and whole, whatever happens to the line it comes through."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from schema.billing import LedgerEntry
from schema.document import TABLES, Document, table_of
from schema.images import Image
from schema.keys import BY_ID, key_of, one_document
from schema.readset import Commit, ReadSet, Touch, overlap
from schema.users import User
from schema.values import Id, Timestamp
from server.store import codec, tail
from server.store.embedded import EmbeddedMongod
from server.store.mongo import MongoStore, MongoTransaction
from server.store.setup import set_up
from server.store.tail import Tail
from tests.support.oplog import change_what_is_too_large, forgetful_mongod, roll_the_oplog

DEADLINE_S = 60.0
NOW = 1_700_000_000_000.0
EVERYTHING = frozenset(TABLES)


class Recorder:
    """What a tail delivered, in order; anybody may wait until it is enough."""

    def __init__(self, start: Timestamp) -> None:
        self.commits: list[Commit] = []
        self.batches: list[tuple[list[Timestamp], Timestamp]] = []
        self.losses: list[Timestamp] = []
        self.position = start
        self._moved = asyncio.Event()

    def deliver(self, commits: Sequence[Commit], position: Timestamp) -> None:
        assert commits
        assert self.position < commits[0].ts
        assert commits[-1].ts <= position
        self.commits += commits
        self.batches.append(([each.ts for each in commits], position))
        self._move(position)

    def lost(self, position: Timestamp) -> None:
        assert self.position <= position
        self.losses.append(position)
        self._move(position)

    def _move(self, position: Timestamp) -> None:
        self.position = position
        self._moved.set()
        self._moved = asyncio.Event()

    @property
    def times(self) -> list[Timestamp]:
        return [each.ts for each in self.commits]

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is true of what was delivered."""
        async with asyncio.timeout(DEADLINE_S):
            while not is_so():
                await self._moved.wait()

    async def reach(self, ts: Timestamp) -> None:
        """Wait until everything up to `ts` is here."""
        await self.until(lambda: self.position >= ts)

    async def commit_at(self, ts: Timestamp) -> Commit:
        """The one commit of this time."""
        await self.reach(ts)
        (found,) = [each for each in self.commits if each.ts == ts]
        return found


class Interruptions(logging.Handler):
    """Sets an event whenever the feed reports that it was interrupted."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "action", None) == "feed.interrupted":
            self.seen.set()


@pytest.fixture
def interruptions() -> Iterator[Interruptions]:
    """Tells when the feed was interrupted."""
    handler = Interruptions()
    tail.log.addHandler(handler)
    yield handler
    tail.log.removeHandler(handler)


@asynccontextmanager
async def opened(uri: str, *listeners: CommandListener) -> AsyncIterator[MongoStore]:
    """A fresh database."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(uri, event_listeners=listeners)
    store = MongoStore(client, f"test_{secrets.token_hex(6)}")
    await set_up(store.database)
    try:
        yield store
    finally:
        await client.drop_database(store.database.name)
        await client.close()


@pytest.fixture(scope="module")
async def store(mongod_uri: str) -> AsyncIterator[MongoStore]:
    """One database for the tests that leave its collections as they are."""
    async with opened(mongod_uri) as found:
        yield found


@pytest.fixture
async def own_store(mongod_uri: str) -> AsyncIterator[MongoStore]:
    """A database for one test that breaks it."""
    async with opened(mongod_uri) as found:
        yield found


@asynccontextmanager
async def running(followed: Tail) -> AsyncIterator[None]:
    """A tail at work. What it dies of is raised."""
    task = asyncio.create_task(followed.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def following(store: MongoStore) -> AsyncIterator[Recorder]:
    """Follow a database from now on."""
    start = await store.newest()
    recorder = Recorder(start)
    async with running(Tail(store, start, deliver=recorder.deliver, lost=recorder.lost)):
        yield recorder


def user_named(name: str, balance: int = 0) -> User:
    return User(id=Id(f"id-{name}"), user_id=name, credits=balance, created_at=NOW, updated_at=NOW)


async def insert(store: MongoStore, *documents: Document) -> Timestamp:
    async def work(db: MongoTransaction) -> None:
        for each in documents:
            await db.insert(each)

    return (await store.transact(work))[1]


async def write(store: MongoStore, work: Callable[[MongoTransaction], Awaitable[object]]) -> Timestamp:
    return (await store.transact(work))[1]


def reading(index: Any, **values: Any) -> ReadSet:
    return ReadSet((index.eq(**values).keys,))


def reading_one(document: type[Document], document_id: str) -> ReadSet:
    return ReadSet((one_document(table_of(document).name, document_id),))


# --- once, in order, whole -------------------------------------------------------------------------------------------


async def test_every_commit_is_delivered_once_and_in_order(store: MongoStore) -> None:
    async def author(name: str) -> list[Timestamp]:
        made = []
        for number in range(25):
            user = user_named(f"{name}-{number}")
            entry = LedgerEntry(
                id=Id(f"entry-{name}-{number}"), user_id=user.user_id, kind="trial", amount=1, balance_after=1,
                key=f"{name}{number}", created_at=NOW,
            )  # fmt: skip
            made.append(await insert(store, user, entry))
            made.append(await write(store, lambda db, user=user: db.update(User, user.id, {"credits": 1})))  # type: ignore[misc]
        return made

    async with following(store) as recorder:
        acknowledged = sorted(ts for each in await asyncio.gather(*map(author, "abcd")) for ts in each)
        await recorder.reach(acknowledged[-1])
    assert recorder.times == acknowledged
    assert not recorder.losses


async def test_a_position_is_told_only_when_everything_up_to_it_was(store: MongoStore) -> None:
    async with following(store) as recorder:
        for number in range(30):
            ts = await insert(store, user_named(f"position-{number}"))
            await recorder.reach(ts)
            assert recorder.times[-1] == ts
    for times, position in recorder.batches:
        assert times == sorted(times)
        assert position == times[-1]


async def test_a_commit_names_every_key_before_and_after_in_every_index(store: MongoStore) -> None:
    image = Image(id=Id("keys"), body=Id("b"), created_at=NOW, user_id="ana", generation_status="pending")
    async with following(store) as recorder:
        inserted = await recorder.commit_at(await insert(store, image))
        changes: dict[str, Any] = {"generation_status": "completed", "user_id": None}
        updated = await recorder.commit_at(await write(store, lambda db: db.update(Image, image.id, changes)))
        deleted = await recorder.commit_at(await write(store, lambda db: db.delete(Image, image.id)))
    after = Image(id=Id("keys"), body=Id("b"), created_at=NOW, generation_status="completed")

    def touches(document: Image) -> set[Touch]:
        indexes = table_of(Image).indexes.values()
        by_index = {Touch("images", each.name, each.key_of(document)) for each in indexes}
        return by_index | {Touch("images", BY_ID, key_of("keys"))}

    assert inserted.writes.touches == touches(image)
    assert updated.writes.touches == touches(image) | touches(after)
    assert deleted.writes.touches == touches(after)
    assert not inserted.writes.tables | updated.writes.tables | deleted.writes.tables


async def in_bulk(store: MongoStore, name: str, count: int) -> Timestamp:
    """One transaction that inserts users, and an image for every second of them."""
    users = [codec.encode(user_named(f"{name}-{number}")) for number in range(count - count // 2)]
    images = [
        codec.encode(Image(id=Id(f"{name}-{number}"), body=Id("b"), created_at=NOW, user_id=name))
        for number in range(count // 2)
    ]
    async with store.client.start_session() as session:
        async with await session.start_transaction():
            await store.database["users"].insert_many(users, session=session)
            if images:
                await store.database["images"].insert_many(images, session=session)
        assert session.operation_time is not None
        return codec.timestamp(session.operation_time)


@pytest.mark.parametrize("count", [2, 999, 1_000, 1_001, 2_500])
async def test_a_transaction_is_one_commit_however_large(store: MongoStore, count: int) -> None:
    """Also when its events take several batches, and with neighbours that share its batches."""
    async with following(store) as recorder:
        before = await insert(store, user_named(f"before-{count}"))
        large = await in_bulk(store, f"bulk-{count}", count)
        after = await insert(store, user_named(f"after-{count}"))
        await recorder.reach(after)
    assert recorder.times == [before, large, after]
    documents = {touch for touch in recorder.commits[1].writes.touches if touch.index == BY_ID}
    assert len(documents) == count
    assert not recorder.commits[1].writes.tables


async def test_of_a_huge_transaction_only_its_tables_are_remembered(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So what is held until it is whole has an end; its neighbours are known as well as ever."""
    monkeypatch.setattr(tail, "MAX_HELD_EVENTS", 1_500)
    start = await store.newest()
    recorder = Recorder(start)
    followed = Tail(store, start, deliver=recorder.deliver, lost=recorder.lost)
    before = await insert(store, user_named("before-huge"))
    huge = await in_bulk(store, "huge", 4_500)
    after = await insert(store, user_named("after-huge"))
    async with running(followed):
        await recorder.reach(after)
    assert recorder.times == [before, huge, after]
    assert [each.writes.tables for each in recorder.commits] == [frozenset(), {"users", "images"}, frozenset()]
    assert sum(touch.index == BY_ID for touch in recorder.commits[1].writes.touches) <= 1_500 + tail.MAX_BATCH_EVENTS
    assert followed.metrics()["anime_feed_coarse_commits_total"] == 1


async def test_large_transactions_in_a_row_and_full_batches_end_where_commits_end(store: MongoStore) -> None:
    async with following(store) as recorder:
        sizes = (500, 500, 700, 1, 999, 1, 300)
        made = [await in_bulk(store, f"row-{number}", size) for number, size in enumerate(sizes)]
        await recorder.reach(made[-1])
    assert recorder.times == made
    by_id = [sum(touch.index == BY_ID for touch in each.writes.touches) for each in recorder.commits]
    assert by_id == list(sizes)


async def test_a_backlog_of_full_batches_is_whole(store: MongoStore) -> None:
    """A tail that comes late finds thousands of events waiting; batches are cut in the middle of transactions."""
    start = await store.newest()
    made = [await in_bulk(store, f"late-{number}", 650) for number in range(5)]
    recorder = Recorder(start)
    async with running(Tail(store, start, deliver=recorder.deliver, lost=recorder.lost)):
        await recorder.reach(made[-1])
    assert recorder.times == made
    assert {sum(touch.index == BY_ID for touch in each.writes.touches) for each in recorder.commits} == {650}


class Awaited(CommandListener):
    """Notes how long each getMore lets the server wait, and tells when one was answered."""

    def __init__(self) -> None:
        self.waits: list[int] = []
        self.answered = asyncio.Event()

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "getMore" and event.command.get("collection") == "$cmd.aggregate":
            self.waits.append(event.command["maxTimeMS"])

    def succeeded(self, event: CommandSucceededEvent) -> None:
        if self.waits:
            self.answered.set()

    def failed(self, event: CommandFailedEvent) -> None: ...


async def test_a_quiet_stream_is_answered_well_before_our_own_patience_ends(mongod_uri: str) -> None:
    """Otherwise every quiet spell is a race that ends in a reconnect."""
    listener = Awaited()
    async with opened(mongod_uri, listener) as quiet, following(quiet):
        async with asyncio.timeout(DEADLINE_S):
            await listener.answered.wait()
    assert set(listener.waits) == {tail.AWAIT_MS}


# --- a broken line ---------------------------------------------------------------------------------------------------


async def test_it_goes_on_where_it_was_when_its_cursor_is_killed(
    store: MongoStore, interruptions: Interruptions
) -> None:
    async with following(store) as recorder:
        made = []
        for turn in range(3):
            made += [await insert(store, user_named(f"killed-{turn}-{number}")) for number in range(10)]
            if turn == 1:  # nothing new since the last batch: only the resume position can tell
                await recorder.reach(made[-1])
            interruptions.seen.clear()
            async with asyncio.timeout(DEADLINE_S):
                while not interruptions.seen.is_set():  # the feed may have no cursor just then: it is opening one
                    await store.client.admin.command("killAllSessions", [])
                    with suppress(TimeoutError):
                        async with asyncio.timeout(1):
                            await interruptions.seen.wait()
            made += [await in_bulk(store, f"killed-bulk-{turn}", 1_200)]
        await recorder.reach(made[-1])
    assert recorder.times == made
    assert not recorder.losses


async def test_it_goes_on_where_it_was_when_mongod_is_killed(tmp_path: Path) -> None:
    async with EmbeddedMongod(tmp_path) as mongod, opened(mongod.uri) as store, following(store) as recorder:
        made = []
        for turn in range(2):
            made += [await insert(store, user_named(f"before-{turn}-{number}")) for number in range(10)]
            assert mongod.pid is not None
            os.kill(mongod.pid, signal.SIGKILL)
            made += [await insert(store, user_named(f"after-{turn}-{number}")) for number in range(10)]
        await recorder.reach(made[-1])
        assert recorder.times == made
        assert not recorder.losses


# --- history that is gone --------------------------------------------------------------------------------------------


async def test_history_that_is_gone_is_told_and_the_feed_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with forgetful_mongod(tmp_path, monkeypatch) as mongod, opened(mongod.uri) as store:
        start = await store.newest()
        recorder = Recorder(start)
        followed = Tail(store, start, deliver=recorder.deliver, lost=recorder.lost)
        async with running(followed):
            seen = await insert(store, user_named("seen"))
            await recorder.reach(seen)
        missed = await insert(store, user_named("missed"))
        await roll_the_oplog(store.client, past=missed)
        async with running(followed):
            await recorder.until(lambda: bool(recorder.losses))
            later = await insert(store, user_named("later"))
            await recorder.reach(later)
        assert recorder.times == [seen, later]
        (lost,) = recorder.losses
        assert missed <= lost < later


async def test_a_dropped_database_is_told_and_the_feed_goes_on(own_store: MongoStore) -> None:
    """A dropped database ends the stream for good: its last position is one that cannot be resumed from."""
    async with following(own_store) as recorder:
        seen = await insert(own_store, user_named("seen"))
        await own_store.client.drop_database(own_store.database.name)
        await recorder.until(lambda: bool(recorder.losses))
        await set_up(own_store.database)
        later = await insert(own_store, user_named("later"))
        await recorder.reach(later)
    assert recorder.times[0] == seen
    # The drop may be met a second time where the feed starts over; then `later` is within what was declared lost.
    assert recorder.times[-1] == later or recorder.losses[-1] >= later
    dropped = [each for each in recorder.commits if each.writes.tables]
    assert frozenset().union(*(each.writes.tables for each in dropped)) == EVERYTHING


async def test_an_event_that_no_reply_can_hold_is_passed_over_once(own_store: MongoStore) -> None:
    """Though it is the newest there is: the feed must not begin again at the moment that it cannot pass."""
    start = await own_store.newest()
    recorder = Recorder(start)
    followed = Tail(own_store, start, deliver=recorder.deliver, lost=recorder.lost)
    async with running(followed):
        await change_what_is_too_large(own_store.database["users"])
        await recorder.until(lambda: bool(recorder.losses))
        later = await insert(own_store, user_named("later"))
        await recorder.reach(later)
    assert recorder.times[-1] == later
    assert len(recorder.losses) == followed.metrics()["anime_feed_gaps_total"] == 1


# --- what is known only roughly --------------------------------------------------------------------------------------


async def test_an_update_without_a_before_image_concerns_the_whole_table(own_store: MongoStore) -> None:
    await insert(own_store, user_named("ana"))
    await own_store.database.command({"collMod": "users", "changeStreamPreAndPostImages": {"enabled": False}})
    async with following(own_store) as recorder:
        ts = await write(own_store, lambda db: db.update(User, "id-ana", {"credits": 3}))
        commit = await recorder.commit_at(ts)
        assert commit.writes.tables == {"users"}
        assert overlap(reading(User.by_user_id, user_id="somebody else"), commit.writes)
        assert not overlap(reading(Image.by_user, user_id="ana"), commit.writes)
        inserted = await recorder.commit_at(await insert(own_store, user_named("bob")))
        assert overlap(reading(User.by_user_id, user_id="bob"), inserted.writes)


async def test_a_dropped_collection_concerns_all_its_readers_and_nobody_else(own_store: MongoStore) -> None:
    async with following(own_store) as recorder:
        await insert(own_store, user_named("ana"))
        await own_store.database["images"].drop()
        later = await insert(own_store, user_named("bob"))
        await recorder.reach(later)
    (dropped,) = [each for each in recorder.commits if each.writes.tables]
    assert dropped.writes.tables == {"images"}
    assert not recorder.losses


async def test_a_renamed_collection_concerns_both_names(own_store: MongoStore) -> None:
    async with following(own_store) as recorder:
        await own_store.database["users"].rename("images", dropTarget=True)
        await recorder.until(lambda: any("users" in each.writes.tables for each in recorder.commits))
        concerned = frozenset().union(*(each.writes.tables for each in recorder.commits))
    assert {"users", "images"} <= concerned


async def test_a_table_of_nobody_moves_the_position_and_concerns_nobody(store: MongoStore) -> None:
    async with following(store) as recorder:
        await store.database["scratch"].insert_one({"_id": ObjectId(), "userId": "ana"})
        later = await insert(store, user_named("scratched"))
        await recorder.reach(later)
    assert [len(each.writes.tables) for each in recorder.commits] == [0, 0]
    assert not recorder.commits[0].writes.touches
    await store.database["scratch"].drop()


# --- edits by hand ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def shell(mongod_uri: str, store: MongoStore) -> AsyncIterator[Any]:
    """Somebody else's client, looking at the same database and knowing nothing of our types."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongod_uri)
    yield client[store.database.name]
    await client.close()


async def test_a_balance_set_by_hand_wakes_its_readers(store: MongoStore, shell: Any) -> None:
    await insert(store, user_named("hand"), user_named("other"))
    async with following(store) as recorder:
        await shell.users.update_one({"userId": "hand"}, {"$set": {"credits": 12.0}})
        await recorder.until(lambda: bool(recorder.commits))
        (commit,) = recorder.commits
    assert overlap(reading(User.by_user_id, user_id="hand"), commit.writes)
    assert overlap(reading_one(User, "id-hand"), commit.writes)
    assert not overlap(reading(User.by_user_id, user_id="other"), commit.writes)
    assert not overlap(reading_one(User, "id-other"), commit.writes)


async def test_a_number_of_another_type_is_the_same_key(store: MongoStore, shell: Any) -> None:
    """`createdAt` as an integer or a long is found by whoever reads it as a double."""
    await store.database["images"].delete_many({})
    image = Image(id=Id("typed"), body=Id("b"), created_at=NOW, user_id="typed")
    await insert(store, image)
    async with following(store) as recorder:
        await shell.images.update_one({"_id": "typed"}, {"$set": {"createdAt": int(NOW) + 1}})
        await recorder.until(lambda: bool(recorder.commits))
    writes = recorder.commits[0].writes
    found = Image.by_user_and_created.eq(user_id="typed", created_at=NOW + 1)
    assert overlap(ReadSet((found.keys,)), writes)
    assert overlap(reading(Image.by_user_and_created, user_id="typed", created_at=NOW), writes)
    assert not overlap(reading(Image.by_user_and_created, user_id="typed", created_at=NOW + 2), writes)


@pytest.mark.parametrize(
    "value", [ObjectId(), float("nan"), [1, 2], {"a": 1}, b"x"], ids=["ObjectId", "nan", "array", "object", "bytes"]
)
async def test_what_cannot_be_a_key_concerns_the_whole_table(store: MongoStore, shell: Any, value: object) -> None:
    name = f"odd-{type(value).__name__}"
    await insert(store, user_named(name))
    unchecked = shell.get_collection("users")
    async with following(store) as recorder:
        await unchecked.update_one({"userId": name}, {"$set": {"userId": value}}, bypass_document_validation=True)
        await recorder.until(lambda: bool(recorder.commits))
        assert recorder.commits[0].writes.tables == {"users"}
        await unchecked.delete_one({"_id": f"id-{name}"})
        await recorder.until(lambda: len(recorder.commits) > 1)
        assert recorder.commits[1].writes.tables == {"users"}


@pytest.mark.parametrize("table", ["users", "secrets"], ids=["with indexes", "without"])
async def test_an_id_that_is_not_ours_does_not_stop_the_feed(store: MongoStore, shell: Any, table: str) -> None:
    """A shell gives an ObjectId to what is inserted without an id."""
    async with following(store) as recorder:
        await shell[table].insert_one({"_id": ObjectId()}, bypass_document_validation=True)
        later = await insert(store, user_named(f"stranger-{table}"))
        await recorder.reach(later)
    assert recorder.commits[0].writes.tables == {table}
