"""The store: snapshots at a cluster time and transactions, on MongoDB.

Invariant: a snapshot reads exactly the state at its timestamp; a transaction is committed by a majority or not at all.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import pymongo
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.topology_description import TOPOLOGY_TYPE
from pymongo.write_concern import WriteConcern

from schema.document import Document, table_of
from schema.errors import StoreUnavailable, WriteConflict
from schema.keys import KeyRange, after, bounds
from schema.system import Pulse
from schema.values import Scalar, Timestamp
from server.store import codec
from server.store.failures import COMMIT_UNKNOWN, TRANSIENT, translated

D = TypeVar("D", bound=Document)
T = TypeVar("T")
RawDocument = dict[str, Any]
Client = AsyncMongoClient[RawDocument]

READ_DEADLINE_S = 5.0
TRANSACTION_DEADLINE_S = 12.0
"""How long conflicts are retried. A process that was killed leaves its open transaction to the server, which ends it after
`transactionLifetimeLimitSeconds`; our own server's limit is below this."""
LAST_ATTEMPT_S = 2.0
"""What an attempt has at least. The last one ends before a mutation's 15 s do, or an open question would be told as a failure."""
FIRST_BACKOFF_S = 0.005
LAST_BACKOFF_S = 0.5
COMMIT_RETRY_S = 0.1
LATEST_OF_A_MAJORITY: Final[RawDocument] = {
    "find": table_of(Pulse).name,
    "filter": {"_id": ""},
    "limit": 1,
    "singleBatch": True,
    "readConcern": {"level": "majority"},
}
"""Finds nothing; its reply tells the time of the newest write that a majority has."""


class MongoReads:
    """Index scans through one scope: a read concern, or a session's transaction."""

    def __init__(
        self, database: AsyncDatabase[RawDocument], *, concern: RawDocument | None, session: AsyncClientSession | None
    ) -> None:
        self._database, self._session = database, session
        self._scope: RawDocument = {} if concern is None else {"readConcern": concern}

    async def get(self, document: type[D], document_id: str) -> D | None:
        """The document with this id."""
        found, _ = await self._find({"find": table_of(document).name, "filter": {"_id": document_id}, "limit": 1})
        return codec.decode(document, found[0]) if found else None

    async def scan(self, document: type[D], keys: KeyRange, *, descending: bool, limit: int) -> Sequence[D]:
        """At most `limit` documents of the range, in the order of its index."""
        rows: list[D] = []
        while len(rows) < limit and not keys.is_empty():
            walk = self._walk(document, keys, descending=descending, limit=limit - len(rows))
            if walk["min"] == walk["max"]:
                break
            found, is_whole = await self._find(walk)
            rows += [codec.decode(document, fields) for fields in found]
            if is_whole:
                break
            last = table_of(document).indexes[keys.index].key_of(rows[-1])[len(keys.prefix) :]
            keys = keys.narrowed(high=last) if descending else keys.narrowed(low=after(last))
        return rows

    async def count(self, document: type[D], keys: KeyRange, *, limit: int) -> int:
        """How many documents lie in the range, up to `limit`; answered by the index alone."""
        walk = self._walk(document, keys, descending=False, limit=limit)
        if keys.is_empty() or walk["min"] == walk["max"]:
            return 0
        found, _ = await self._find({**walk, "projection": {"_id": 1}})
        return len(found)

    def _walk(self, document: type[Document], keys: KeyRange, *, descending: bool, limit: int) -> RawDocument:
        table = table_of(document)
        low, high = bounds(keys, table.index_length(keys.index))
        return {
            "find": table.name,
            "hint": keys.index,
            "min": codec.edge(low, table, keys.index),
            "max": codec.edge(high, table, keys.index),
            "sort": codec.order(table, keys.index, descending=descending),
            "limit": limit,
        }

    async def _find(self, command: RawDocument) -> tuple[list[RawDocument], bool]:
        """The rows, and whether they are all: a reply ends at 16 MiB, and what is left is asked for anew from there."""
        # One more than the limit, or the server keeps the cursor open to find out that nothing follows.
        whole = {**command, "batchSize": command["limit"] + 1, **self._scope}
        with translated(), pymongo.timeout(READ_DEADLINE_S):
            reply = await self._database.command(whole, session=self._session, read_preference=ReadPreference.PRIMARY)
            cursor = reply["cursor"]
            if cursor["id"]:
                kill = {"killCursors": command["find"], "cursors": [cursor["id"]]}
                await self._database.command(kill, session=self._session)
        rows: list[RawDocument] = cursor["firstBatch"]
        return rows, not cursor["id"]


class MongoTransaction(MongoReads):
    """Reads and writes of one transaction."""

    def __init__(self, database: AsyncDatabase[RawDocument], session: AsyncClientSession) -> None:
        super().__init__(database, concern=None, session=session)
        self._in = session

    async def insert(self, document: Document) -> None:
        """Add a document. Raises `NotUnique`."""
        with translated():
            await self._database[table_of(type(document)).name].insert_one(codec.encode(document), session=self._in)

    async def update(self, document: type[Document], document_id: str, changes: Mapping[str, Scalar]) -> None:
        """Set fields by their Python names; `None` removes one."""
        table = table_of(document)
        with translated():
            await self._database[table.name].update_one(
                {"_id": document_id}, codec.update(changes, table), session=self._in
            )

    async def delete(self, document: type[Document], document_id: str) -> None:
        """Remove a document."""
        with translated():
            await self._database[table_of(document).name].delete_one({"_id": document_id}, session=self._in)


class MongoStore:
    """The product's database: snapshots at any recent timestamp, transactions, the newest timestamp."""

    def __init__(self, client: Client, database: str) -> None:
        self.client = client
        self.database = client.get_database(database, write_concern=WriteConcern("majority"))

    def __repr__(self) -> str:
        return f"<MongoStore {self.database.name}>"

    def snapshot(self, ts: Timestamp) -> MongoReads:
        """The state exactly at `ts`. Reads raise `SnapshotGone` when it can no longer be had."""
        concern = {"level": "snapshot", "atClusterTime": codec.cluster_time(ts)}
        return MongoReads(self.database, concern=concern, session=None)

    async def newest(self) -> Timestamp:
        """A timestamp at or after every commit acknowledged so far. Raises `StoreUnavailable`."""
        # Not a `ping`: a member tells in it of writes that no majority has. Whoever read at such a time would wait for one,
        # and after an election it may be a time that never was. Through a mongos a read tells of one shard alone.
        is_sharded = self.client.topology_description.topology_type == TOPOLOGY_TYPE.Sharded
        ask: RawDocument = {"ping": 1} if is_sharded else LATEST_OF_A_MAJORITY
        with translated(), pymongo.timeout(READ_DEADLINE_S):
            reply = await self.database.command(ask, read_preference=ReadPreference.PRIMARY)
        return codec.timestamp(reply["operationTime"])

    async def transact(
        self, work: Callable[[MongoTransaction], Awaitable[T]], committing: Callable[[], None] = lambda: None
    ) -> tuple[T, Timestamp]:
        """Run `work` in a transaction and commit it; returns its result and the commit time.

        `work` runs again after a write conflict, so it has no effect but through its transaction. `committing` is called
        just before each commit is sent. Raises `WriteConflict` after too many, `StoreUnavailable`, and what `work` raises.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TRANSACTION_DEADLINE_S
        attempt = 0
        while True:
            try:
                return await self._attempt(work, committing, max(LAST_ATTEMPT_S, deadline - loop.time()))
            except (WriteConflict, StoreUnavailable) as error:
                attempt += 1
                late = loop.time() >= deadline
                unknown = isinstance(error, StoreUnavailable) and not _is_transient(error.__cause__)
                if late or unknown:
                    raise
                await asyncio.sleep(random.uniform(0.5, 1.5) * min(LAST_BACKOFF_S, FIRST_BACKOFF_S * 2**attempt))

    async def _attempt(
        self, work: Callable[[MongoTransaction], Awaitable[T]], committing: Callable[[], None], limit_s: float
    ) -> tuple[T, Timestamp]:
        with translated(), pymongo.timeout(limit_s):
            async with self.client.start_session() as session:
                async with await session.start_transaction(
                    read_concern=ReadConcern("snapshot"),
                    write_concern=WriteConcern("majority"),
                    read_preference=ReadPreference.PRIMARY,
                ):
                    result = await work(MongoTransaction(self.database, session))
                    committing()
                    await _commit(session)
                ended = session.operation_time
        return result, codec.timestamp(ended) if ended is not None else await self.newest()


async def _commit(session: AsyncClientSession) -> None:
    """Commit, asking again while the outcome is unknown: committing twice is the same as once."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + TRANSACTION_DEADLINE_S
    while True:
        try:
            return await session.commit_transaction()
        except PyMongoError as error:
            if not error.has_error_label(COMMIT_UNKNOWN) or loop.time() >= deadline:
                raise
            await asyncio.sleep(COMMIT_RETRY_S)


def _is_transient(error: BaseException | None) -> bool:
    return isinstance(error, PyMongoError) and error.has_error_label(TRANSIENT)
