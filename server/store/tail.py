"""The process's one change stream: what was committed, in order, batch by batch, and how far that is complete.

Invariant: `deliver` gets every commit exactly once and in order, and is told a position only when everything at or below it
was delivered. When history is lost it is told so instead (`lost`), never silently.

The stream is read with the plain commands, because the driver's iterator hides where a batch ends, and only there is the
last transaction known to be whole: a batch with room left holds all that was committed (docs/decisions/0003).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import bson
import pymongo
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import OperationFailure, PyMongoError

from schema.errors import StoreUnavailable
from schema.readset import Commit
from schema.values import Timestamp
from server.store import codec, events
from server.store.failures import HISTORY_LOST, heed_cancellation
from server.store.mongo import MongoStore

RawDocument = dict[str, Any]


MAX_BATCH_EVENTS = 1_000
MAX_BATCH_BYTES = 12 << 20
"""A reply may hold 16 MiB; one that comes near it may have been cut in the middle of a transaction."""
MAX_HELD_EVENTS = 5_000
"""What is kept of one transaction; of a larger one only the tables are remembered."""
AWAIT_MS = 1_000
DEADLINE_S = 10.0
FIRST_PAUSE_S = 0.1
LAST_PAUSE_S = 3.0

log = logging.getLogger("anime.feed")


class Tail:
    """Follows the database from a timestamp on. `deliver(commits, position)`, `lost(position)`."""

    def __init__(
        self,
        store: MongoStore,
        start: Timestamp,
        *,
        deliver: Callable[[Sequence[Commit], Timestamp], None],
        lost: Callable[[Timestamp], None],
    ) -> None:
        self._store, self._deliver, self._lost = store, deliver, lost
        self._start = start
        self._resume: RawDocument | None = None
        self._held: list[RawDocument] = []
        self._history_lost = False
        self.is_open = False
        self._events = self._coarse = self._reopened = self._gaps = 0

    def __repr__(self) -> str:
        return f"<Tail {'open' if self.is_open else 'closed'}, {self._events} events, {len(self._held)} held>"

    @property
    def held(self) -> int:
        """Events that wait for the rest of their transaction."""
        return len(self._held)

    def metrics(self) -> Mapping[str, float]:
        """What came, how much of it only roughly, and how often the stream was interrupted or had lost its history."""
        return {
            "anime_feed_events_total": self._events,
            "anime_feed_coarse_commits_total": self._coarse,
            "anime_feed_reopened_total": self._reopened,
            "anime_feed_gaps_total": self._gaps,
        }

    async def run(self) -> None:
        """Follow for ever; network trouble and failovers are waited out. Ends only when cancelled."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                if self._history_lost:
                    await self._start_over()
                await self._follow()
            except (PyMongoError, StoreUnavailable, TimeoutError) as error:
                self._history_lost = isinstance(error, OperationFailure) and error.code in HISTORY_LOST
                pause = FIRST_PAUSE_S if self.is_open else min(LAST_PAUSE_S, 2 * pause)
                self._reopened += self.is_open
                log.warning("feed interrupted: %s", type(error).__name__, extra={"action": "feed.interrupted"})
                heed_cancellation()
            finally:
                self.is_open = False
            await asyncio.sleep(random.uniform(0.5, 1.0) * pause)

    async def _start_over(self) -> None:
        """The stream cannot go on from where we were. Say so, and begin at the present."""
        log.error("feed history lost: all answers are computed again", extra={"action": "feed.gap"})
        self._start, self._resume, self._held = await self._store.newest(), None, []
        self._history_lost = False
        self._gaps += 1
        self._lost(self._start)

    async def _follow(self) -> None:
        stage: RawDocument = {"fullDocument": "whenAvailable", "fullDocumentBeforeChange": "whenAvailable"}
        if self._resume is not None:
            stage["resumeAfter"] = self._resume
        else:
            # The moment after: what is at `_start` is delivered or lost, and what the stream cannot pass may be there.
            stage["startAtOperationTime"] = codec.cluster_time(Timestamp(self._start + 1))
        self._held = []
        async with self._store.client.start_session(causal_consistency=False) as session:
            opened = await self._command(
                {
                    "aggregate": 1,
                    "pipeline": [{"$changeStream": stage}, *events.pipeline()],
                    "cursor": {"batchSize": 0},
                },
                session,
            )
            cursor = opened["cursor"]["id"]
            self.is_open = True
            try:
                while True:
                    reply = await self._command(
                        {
                            "getMore": cursor,
                            "collection": "$cmd.aggregate",
                            "batchSize": MAX_BATCH_EVENTS,
                            "maxTimeMS": AWAIT_MS,
                        },
                        session,
                    )
                    self._take(reply["cursor"]["nextBatch"], reply["cursor"]["postBatchResumeToken"])
            finally:
                await self._close(cursor)

    def _take(self, batch: list[RawDocument], resume: RawDocument) -> None:
        """Deliver what is whole; hold the last cluster time back while more of it may come."""
        self._events += len(batch)
        pending = self._held + batch
        if _has_room(batch):
            whole, self._held = pending, []
            self._resume = resume
        else:
            last = pending[-1]["clusterTime"]
            whole = [event for event in pending if event["clusterTime"] != last]
            self._held = pending[len(whole) :]
            if len(self._held) > MAX_HELD_EVENTS:
                self._held = [events.summary(self._held)]
            if whole:
                self._resume = whole[-1]["_id"]
        if whole:
            found = events.commits(whole)
            fresh = [commit for commit in found if commit.ts > self._start]
            if fresh:
                self._start = fresh[-1].ts
                self._coarse += sum(bool(commit.writes.tables) for commit in fresh)
                self._deliver(fresh, fresh[-1].ts)

    async def _command(self, command: RawDocument, session: AsyncClientSession) -> RawDocument:
        # Not `pymongo.timeout`: it would put its own limit in the place of the command's `maxTimeMS`.
        async with asyncio.timeout(DEADLINE_S):
            reply: RawDocument = await self._store.database.command(command, session=session)
        heed_cancellation()
        return reply

    async def _close(self, cursor: int) -> None:
        """Free the server's cursor; a server that is gone has freed it already."""
        try:
            with pymongo.timeout(1.0):
                await self._store.database.command({"killCursors": "$cmd.aggregate", "cursors": [cursor]})
        except PyMongoError:
            log.debug("feed cursor not closed", extra={"action": "feed.close"})


def _has_room(batch: list[RawDocument]) -> bool:
    """Did the reply end because there was nothing more, and not because it was full?"""
    return len(batch) < MAX_BATCH_EVENTS and sum(_size(event) for event in batch) < MAX_BATCH_BYTES


def _size(event: RawDocument) -> int:
    """An upper estimate of what an event takes in a reply; images are projected to indexed fields, which are short as a rule."""
    parts = (event.get("fullDocument"), event.get("fullDocumentBeforeChange"), event.get("documentKey"))
    return 2_048 + sum(_length(value) for part in parts if part for value in part.values())


def _length(value: object) -> int:
    """What a value takes: anything can have been put there by hand."""
    if isinstance(value, str):
        return len(value) if value.isascii() else 4 * len(value)
    return 16 if value is None or isinstance(value, float | int) else len(bson.encode({"": value}))
