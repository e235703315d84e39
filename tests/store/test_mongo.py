"""Snapshots and transactions on a real mongod: exact at their timestamp, whole or not at all, refused by name."""

from __future__ import annotations

import asyncio
import gc
import random
import secrets
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import pymongo
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError, WriteConcernError, WriteError, WTimeoutError
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from schema.billing import LedgerEntry
from schema.document import TABLES, Document, table_of
from schema.errors import NotUnique, SnapshotGone, StoreUnavailable, WriteConflict
from schema.images import GenerationStatus, Image
from schema.keys import LAST, Key, KeyRange, after, key_of
from schema.system import Receipt
from schema.users import User
from schema.values import Id, Timestamp
from server.store import codec, mongo
from server.store.failures import TRANSIENT, meaning
from server.store.mongo import MongoReads, MongoStore, MongoTransaction
from server.store.setup import set_up

DEADLINE_S = 60.0
ROUNDS = 200
SEED = 20_261
DOCUMENT_VALIDATION_FAILED = 121
NOW = 1_700_000_000_000.0


class Commands(CommandListener):
    """Notes the name of every command that is sent."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.notes.append(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


@pytest.fixture(scope="module")
def commands() -> Commands:
    """What the store's client sends."""
    return Commands()


@pytest.fixture(scope="module")
async def store(mongod_uri: str, commands: Commands) -> AsyncIterator[MongoStore]:
    """A database that is set up; the tests of this file keep apart by their users."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongod_uri, event_listeners=[commands])
    opened = MongoStore(client, f"test_{secrets.token_hex(6)}")
    await set_up(opened.database)
    yield opened
    await client.drop_database(opened.database.name)
    await client.close()


def user_named(name: str, balance: int = 0) -> User:
    return User(id=Id(f"id-{name}"), creation_time=NOW, user_id=name, credits=balance, created_at=NOW, updated_at=NOW)


def entry(user: User, number: int) -> LedgerEntry:
    return LedgerEntry(
        id=Id(f"{user.id}-{number:04}"),
        creation_time=NOW,
        user_id=user.user_id,
        kind="adjustment",
        amount=1,
        balance_after=number,
        key=f"{user.user_id}:{number}",
        created_at=NOW + number,
    )


async def insert(store: MongoStore, *documents: Document) -> Timestamp:
    async def work(db: MongoTransaction) -> None:
        for each in documents:
            await db.insert(each)

    return (await store.transact(work))[1]


def all_of(index: Any, **values: Any) -> KeyRange:
    keys: KeyRange = index.eq(**values).keys
    return keys


# --- snapshots -------------------------------------------------------------------------------------------------------


async def test_a_snapshot_is_exact_while_newer_writes_happen(store: MongoStore) -> None:
    """A balance and its ledger, in two collections: at the time of commit n both say n, and never anything else."""
    user = user_named("torn")
    await insert(store, user)
    at: list[Timestamp] = []
    moved = asyncio.Condition()

    async def spend(number: int) -> Timestamp:
        async def work(db: MongoTransaction) -> None:
            await db.insert(entry(user, number))
            await db.update(User, user.id, {"credits": number})

        return (await store.transact(work))[1]

    async def write() -> None:
        for number in range(1, ROUNDS + 1):
            ts = await spend(number)
            async with moved:
                at.append(ts)
                moved.notify_all()

    async def look(ts: Timestamp) -> tuple[int, int, int]:
        snapshot = store.snapshot(ts)
        counted = await snapshot.count(LedgerEntry, all_of(LedgerEntry.by_user_and_created, user_id="torn"), limit=1000)
        found = await snapshot.get(User, user.id)
        keys = all_of(LedgerEntry.by_user_and_created, user_id="torn")
        rows = await snapshot.scan(LedgerEntry, keys, descending=True, limit=1)
        assert found is not None
        return found.credits, counted, rows[0].balance_after if rows else 0

    async def read_each_commit() -> None:
        for number in range(1, ROUNDS + 1):
            async with moved:
                await moved.wait_for(lambda number=number: len(at) >= number)  # type: ignore[misc]
            assert await look(at[number - 1]) == (number, number, number)
            before = Timestamp(at[number - 1] - 1)
            assert await look(before) == (number - 1, number - 1, number - 1)

    async def read_the_newest() -> None:
        while len(at) < ROUNDS:
            known = len(at)
            one, two, three = await look(await store.newest())
            assert one == two == three
            assert known <= one <= len(at) + 1

    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        for each in (write(), read_each_commit(), read_the_newest()):
            group.create_task(each)
    assert at == sorted(set(at))


async def test_the_newest_timestamp_covers_every_acknowledged_commit(store: MongoStore) -> None:
    for number in range(20):
        user = user_named(f"newest-{number}")
        committed = await insert(store, user)
        newest = await store.newest()
        assert newest >= committed
        assert await store.snapshot(newest).get(User, user.id) == user
        assert await store.snapshot(Timestamp(committed - 1)).get(User, user.id) is None


@pytest.mark.parametrize("ts", [Timestamp(1 << 32), Timestamp(2_000 << 32 | 7)])
async def test_a_moment_long_ago_is_gone(store: MongoStore, ts: Timestamp) -> None:
    keys = all_of(User.by_user_id)
    snapshot = store.snapshot(ts)
    with pytest.raises(SnapshotGone):
        await snapshot.get(User, "x")
    with pytest.raises(SnapshotGone):
        await snapshot.scan(User, keys, descending=False, limit=1)
    with pytest.raises(SnapshotGone):
        await snapshot.count(User, keys, limit=1)


async def test_a_moment_that_has_not_come_is_as_good_as_gone(store: MongoStore) -> None:
    with pytest.raises(SnapshotGone):
        await store.snapshot(Timestamp(4_000_000_000 << 32)).get(User, "x")


# --- ranges ----------------------------------------------------------------------------------------------------------

STATUSES: Sequence[GenerationStatus | None] = (None, "pending", "processing", "completed", "failed")


def pictures(count: int, chance: random.Random) -> list[Image]:
    """Documents with few distinct values, so that every prefix has several, and many absent fields."""
    return [
        Image(
            id=Id(f"picture-{number:04}"),
            creation_time=NOW + number,
            body=Id(f"blob-{number}"),
            created_at=NOW + chance.randrange(12) / 2,
            user_id=chance.choice([None, "ana", "bob", "zoë", "日本"]),
            is_generated=False,
            original_image_id=chance.choice([None, Id("picture-0000"), Id("picture-0001")]),
            generation_status=chance.choice(STATUSES),
            is_featured=chance.random() < 0.5,
            featured_at=chance.choice([None, NOW, NOW + 1.5]),
            is_disabled_by_admin=chance.random() < 0.3,
        )
        for number in range(count)
    ]


@pytest.fixture(scope="module")
async def gallery(store: MongoStore) -> tuple[Sequence[Image], Timestamp]:
    """Stored pictures, and a moment at which all of them are there."""
    made = pictures(300, random.Random(SEED))
    await store.database["images"].insert_many([codec.encode(each) for each in made])
    return made, await store.newest()


def ranges_of(index: str, keys: Sequence[Key], chance: random.Random) -> list[KeyRange]:
    """Whole prefixes, and parts of them whose ends are existing keys, cut short or just passed."""
    made = [KeyRange("images", index, ())]
    for _ in range(20):
        size = chance.randrange(len(keys[0]))
        prefix = chance.choice(keys)[:size]
        under = [key[size:] for key in keys if key[:size] == prefix]
        ends = []
        for _ in range(2):
            rest = chance.choice(under)
            cut = rest[: chance.randint(1, len(rest))]
            ends.append(after(cut) if chance.random() < 0.5 else cut)
        whole = KeyRange("images", index, prefix)
        low, high = sorted(ends)
        made += [whole, whole.narrowed(low=low), whole.narrowed(high=high), whole.narrowed(low=low, high=high)]
        made.append(KeyRange("images", index, prefix, ends[0], (LAST,)))
    return [each for each in made if not each.is_empty()]


@pytest.mark.parametrize("index", list(TABLES["images"].indexes))
async def test_scans_and_counts_equal_a_plain_filter(
    store: MongoStore, gallery: tuple[Sequence[Image], Timestamp], index: str
) -> None:
    stored, ts = gallery
    key: Callable[[Image], Key] = table_of(Image).indexes[index].key_of
    in_order = sorted(stored, key=key)
    chance = random.Random(f"{SEED} {index}")
    snapshot = store.snapshot(ts)
    partial = 0
    for keys in ranges_of(index, [key(each) for each in in_order], chance):
        inside = [each for each in in_order if keys.contains(key(each))]
        partial += 0 < len(inside) < len(stored)
        limit = chance.choice([1, 2, 7, len(stored) + 1])
        assert await snapshot.scan(Image, keys, descending=False, limit=limit) == inside[:limit], keys
        assert await snapshot.scan(Image, keys, descending=True, limit=limit) == inside[::-1][:limit], keys
        assert await snapshot.count(Image, keys, limit=limit) == min(limit, len(inside)), keys
    assert partial > 20


async def test_an_empty_range_is_not_asked_for(store: MongoStore) -> None:
    """MongoDB refuses bounds that meet; `bounds` gives such for a range between an id and the next string."""
    nothing = KeyRange("users", "by_userId", (), after(key_of("a", "b")), key_of("a", "b\0"))
    reads = store.snapshot(await store.newest())
    assert await reads.scan(User, nothing, descending=False, limit=5) == []
    assert await reads.count(User, nothing, limit=5) == 0


async def test_a_scan_whose_answer_is_larger_than_a_reply_may_be_is_whole(store: MongoStore) -> None:
    """A reply holds 16 MiB; a range that holds more has more than one reply's rows."""
    essay = "x" * 60_000
    rows = [
        Image(
            id=Id(f"large-{number:04}"), body=Id("b"), created_at=NOW, user_id="large", disabled_by_admin_reason=essay
        )
        for number in range(300)
    ]
    for start in range(0, len(rows), 100):
        await store.database["images"].insert_many([codec.encode(each) for each in rows[start : start + 100]])
    try:
        snapshot = store.snapshot(await store.newest())
        found = await snapshot.scan(Image, all_of(Image.by_user, user_id="large"), descending=False, limit=len(rows))
        assert [each.id for each in found] == [each.id for each in rows]
    finally:
        await store.database["images"].delete_many({"userId": "large"})


# --- transactions ----------------------------------------------------------------------------------------------------


async def test_a_conflict_is_run_again_and_each_commit_is_announced(store: MongoStore, commands: Commands) -> None:
    user = user_named("conflict", 5)
    await insert(store, user)
    attempts = 0

    async def work(db: MongoTransaction) -> int:
        nonlocal attempts
        attempts += 1
        found = await db.get(User, user.id)
        assert found is not None
        if attempts == 1:
            await store.database["users"].update_one({"_id": user.id}, {"$set": {"credits": 40}})
        await db.update(User, user.id, {"credits": found.credits + 2})
        return found.credits

    del commands.notes[:]
    before, ts = await store.transact(work, lambda: commands.notes.append("committing"))
    assert (attempts, before) == (2, 40)
    assert commands.notes.count("committing") == 1
    assert commands.notes.index("committing") + 1 == commands.notes.index("commitTransaction")
    assert commands.notes.index("abortTransaction") < commands.notes.index("committing")
    assert await store.snapshot(ts).get(User, user.id) == user_named("conflict", 42)
    assert await store.snapshot(Timestamp(ts - 1)).get(User, user.id) == user_named("conflict", 40)


async def test_many_who_change_one_document_all_succeed(store: MongoStore) -> None:
    user = user_named("crowd")
    await insert(store, user)

    async def work(db: MongoTransaction) -> None:
        found = await db.get(User, user.id)
        assert found is not None
        await db.update(User, user.id, {"credits": found.credits + 1})

    await asyncio.gather(*(store.transact(work) for _ in range(6)))
    found = await store.snapshot(await store.newest()).get(User, user.id)
    assert found is not None
    assert found.credits == 6


async def test_conflicts_without_end_are_given_up(store: MongoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo, "TRANSACTION_DEADLINE_S", 0.5)
    user = user_named("hopeless")
    await insert(store, user)
    attempts = 0

    async def work(db: MongoTransaction) -> None:
        nonlocal attempts
        attempts += 1
        await db.get(User, user.id)
        await store.database["users"].update_one({"_id": user.id}, {"$inc": {"credits": 1}})
        await db.update(User, user.id, {"credits": 100 + attempts})

    with pytest.raises(WriteConflict):
        await store.transact(work, lambda: pytest.fail("nothing may be committed"))
    assert attempts > 1


async def test_what_the_work_raises_undoes_it(store: MongoStore) -> None:
    class Stop(Exception): ...

    async def work(db: MongoTransaction) -> None:
        await db.insert(user_named("undone"))
        assert await db.get(User, "id-undone") is not None
        raise Stop

    with pytest.raises(Stop):
        await store.transact(work, lambda: pytest.fail("nothing may be committed"))
    assert await store.snapshot(await store.newest()).get(User, "id-undone") is None


async def test_a_table_that_is_moved_under_a_transaction_has_it_run_again(store: MongoStore) -> None:
    """As a `migrate` beside running processes may do."""
    runs = 0

    async def work(db: MongoTransaction) -> None:
        nonlocal runs
        runs += 1
        await db.get(User, "nobody")
        if runs == 1:
            await store.database["receipts"].rename("elsewhere")
            await store.database["elsewhere"].rename("receipts")
        await db.get(Receipt, "nothing")

    await store.transact(work)
    assert runs == 2


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 91, "errmsg": ""}]}), StoreUnavailable),
        (BulkWriteError({"writeErrors": [{"code": 10107}], "writeConcernErrors": []}), StoreUnavailable),
        (BulkWriteError({"writeErrors": [{"code": 121}], "writeConcernErrors": []}), type(None)),
        (WTimeoutError("waiting for replication timed out", 64, {}), StoreUnavailable),
        (WriteConcernError("operation was interrupted", 50, {}), StoreUnavailable),
        (OperationFailure("no such transaction", 251, {}), StoreUnavailable),
        (OperationFailure("no such transaction", 251, {"errorLabels": [TRANSIENT]}), WriteConflict),
        (OperationFailure("snapshot unavailable", 246, {}), SnapshotGone),
        (OperationFailure("snapshot unavailable", 246, {"errorLabels": [TRANSIENT]}), WriteConflict),
    ],
    ids=repr,
)
async def test_what_the_driver_raises_has_its_meaning(error: PyMongoError, ours: type) -> None:
    assert type(meaning(error)) is ours


async def test_a_cancelled_transaction_leaves_nothing_and_blocks_nobody(store: MongoStore) -> None:
    user = user_named("cancelled", 1)
    await insert(store, user)
    inside = asyncio.Event()

    async def work(db: MongoTransaction) -> None:
        await db.update(User, user.id, {"credits": 99})
        inside.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(store.transact(work))
    await asyncio.wait_for(inside.wait(), DEADLINE_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(DEADLINE_S):  # a lock left behind would hold this up for the lifetime of a transaction
        await store.database["users"].update_one({"_id": user.id}, {"$inc": {"credits": 1}})
    found = await store.snapshot(await store.newest()).get(User, user.id)
    assert found == user_named("cancelled", 2)


async def test_a_transaction_reads_what_it_wrote_and_deletes(store: MongoStore) -> None:
    user = user_named("shortlived", 3)

    async def work(db: MongoTransaction) -> list[object]:
        keys = all_of(User.by_user_id, user_id=user.user_id)
        await db.insert(user)
        found: list[object] = [await db.count(User, keys, limit=2)]
        await db.update(User, user.id, {"polar_customer_id": "c", "credits": 4})
        found += await db.scan(User, keys, descending=False, limit=2)
        await db.update(User, user.id, {"polar_customer_id": None})
        found.append(await db.get(User, user.id))
        await db.delete(User, user.id)
        return [*found, await db.get(User, user.id)]

    counted, changed, restored, gone = (await store.transact(work))[0]
    assert (counted, gone) == (1, None)
    assert isinstance(changed, User)
    assert (changed.polar_customer_id, changed.credits) == ("c", 4)
    assert isinstance(restored, User)
    assert (restored.polar_customer_id, restored.credits) == (None, 4)


async def test_a_second_document_of_one_key_is_refused_by_name(store: MongoStore) -> None:
    await insert(store, user_named("only"))
    twin = user_named("only")
    twin = User(id=Id("id-twin"), user_id=twin.user_id, credits=0, created_at=NOW, updated_at=NOW)
    with pytest.raises(NotUnique) as refused:
        await insert(store, user_named("other"), twin)
    assert (refused.value.table, refused.value.index) == ("users", "userId")
    assert await store.snapshot(await store.newest()).get(User, "id-other") is None
    with pytest.raises(NotUnique) as same_id:
        await insert(store, user_named("only"))
    assert same_id.value.table == "users"


async def test_a_conditional_constraint_holds_only_where_its_condition_does(store: MongoStore) -> None:
    def about(number: int, is_generated: bool) -> Image:
        return Image(
            id=Id(f"about-{number}"), body=Id("b"), created_at=NOW, is_generated=is_generated, original_image_id=Id("o")
        )

    await insert(store, about(1, False), about(2, False), about(3, True))
    with pytest.raises(NotUnique) as refused:
        await insert(store, about(4, True))
    assert refused.value.table == "images"
    await store.database["images"].delete_many({"originalImageId": "o"})


async def test_two_who_take_one_key_at_once_give_one_and_a_refusal(store: MongoStore) -> None:
    def mine(number: int) -> User:
        return User(id=Id(f"id-race-{number}"), user_id="race", credits=0, created_at=NOW, updated_at=NOW)

    ends = await asyncio.gather(*(insert(store, mine(number)) for number in range(5)), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["NotUnique"] * 4 + ["int"]


async def test_mongod_itself_refuses_a_balance_below_zero(store: MongoStore) -> None:
    user = user_named("poor", 1)
    await insert(store, user)

    async def overdraw(db: MongoTransaction) -> None:
        await db.insert(entry(user, 1))
        await db.update(User, user.id, {"credits": -1})

    with pytest.raises(WriteError) as refused:
        await store.transact(overdraw)
    assert refused.value.code == DOCUMENT_VALIDATION_FAILED
    snapshot = store.snapshot(await store.newest())
    assert await snapshot.get(User, user.id) == user
    assert await snapshot.get(LedgerEntry, entry(user, 1).id) is None


@pytest.mark.parametrize(
    "fields", [{"credits": "many"}, {"userId": 5}, {"surprise": 1}, {"polarCustomerId": None}], ids=str
)
async def test_mongod_itself_refuses_what_no_document_of_ours_is(store: MongoStore, fields: dict[str, object]) -> None:
    whole = {**codec.encode(user_named("strange")), **fields}
    with pytest.raises(WriteError) as refused:
        await store.database["users"].insert_one(whole)
    assert refused.value.code == DOCUMENT_VALIDATION_FAILED


# --- a database that is away -----------------------------------------------------------------------------------------


@pytest.fixture
async def nowhere() -> AsyncIterator[MongoStore]:
    """A store whose server takes no call."""
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as mute:
        port = mute.sockets[0].getsockname()[1]
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient("127.0.0.1", port, serverSelectionTimeoutMS=100)
        yield MongoStore(client, "nowhere")
        await client.close()
    with warnings.catch_warnings():  # the driver does not close what failed to connect
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def test_a_server_that_is_away_is_unavailable_to_readers(
    nowhere: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo, "READ_DEADLINE_S", 0.3)
    snapshot: MongoReads = nowhere.snapshot(Timestamp(1_700_000_000 << 32))
    with pytest.raises(StoreUnavailable):
        await nowhere.newest()
    with pytest.raises(StoreUnavailable):
        await snapshot.get(User, "x")
    with pytest.raises(StoreUnavailable):
        await snapshot.scan(User, all_of(User.by_user_id), descending=False, limit=1)


async def test_a_server_that_is_away_is_unavailable_to_writers(
    nowhere: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo, "TRANSACTION_DEADLINE_S", 0.5)
    with pytest.raises(StoreUnavailable):
        async with asyncio.timeout(DEADLINE_S):
            await nowhere.transact(lambda db: db.insert(user_named("lost")), lambda: pytest.fail("never reached"))


async def test_a_later_attempt_has_only_the_time_that_is_left(
    nowhere: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mutation has 15 s, and then it is a failure instead of an open question: its attempts must have ended before."""
    monkeypatch.setattr(mongo, "TRANSACTION_DEADLINE_S", 1.0)
    monkeypatch.setattr(mongo, "LAST_ATTEMPT_S", 0.1)
    monkeypatch.setattr(mongo, "READ_DEADLINE_S", 0.2)
    limits: list[float] = []
    limited = pymongo.timeout

    def noted(seconds: float) -> AbstractContextManager[None]:
        limits.append(seconds)
        return limited(seconds)

    monkeypatch.setattr(pymongo, "timeout", noted)
    with pytest.raises(StoreUnavailable):
        await nowhere.transact(lambda db: db.get(User, "nobody"))
    of_attempts = [each for each in limits if mongo.READ_DEADLINE_S < each <= mongo.TRANSACTION_DEADLINE_S]
    assert len(of_attempts) > 1
    assert of_attempts == sorted(set(of_attempts), reverse=True), "each has less than the one before"


# --- how documents are stored ----------------------------------------------------------------------------------------


async def test_absent_fields_are_absent_and_expiry_is_a_date(store: MongoStore) -> None:
    expires_at = 1_800_000_000_123.0
    receipt = Receipt(id=Id("s:1"), creation_time=NOW, caller="ana", value="null", expires_at=expires_at)
    await insert(store, user_named("absent"), receipt)
    raw = await store.database["users"].find_one({"_id": "id-absent"})
    assert raw == {
        "_id": "id-absent",
        "_creationTime": NOW,
        "userId": "absent",
        "credits": 0,
        "createdAt": NOW,
        "updatedAt": NOW,
    }
    stored = await store.database["receipts"].find_one({"_id": "s:1"})
    assert stored is not None
    assert stored["expiresAt"] == datetime.fromtimestamp(expires_at / 1_000, UTC).replace(tzinfo=None)
    assert await store.snapshot(await store.newest()).get(Receipt, "s:1") == receipt


async def test_an_expiry_that_is_changed_stays_a_date(store: MongoStore) -> None:
    receipt = Receipt(id=Id("s:2"), creation_time=NOW, caller="ana", value="null", expires_at=1_800_000_000_000.0)
    await insert(store, receipt)
    later = receipt.expires_at + 1_000
    await store.transact(lambda db: db.update(Receipt, receipt.id, {"expires_at": later}))
    found = await store.snapshot(await store.newest()).get(Receipt, "s:2")
    assert found is not None
    assert found.expires_at == later


async def test_whole_doubles_from_a_shell_are_read_as_integers(store: MongoStore) -> None:
    await insert(store, user_named("edited"))
    await store.database["users"].update_one({"_id": "id-edited"}, {"$set": {"credits": 7.0}})
    found = await store.snapshot(await store.newest()).get(User, "id-edited")
    assert found == user_named("edited", 7)
    assert isinstance(found.credits, int)
