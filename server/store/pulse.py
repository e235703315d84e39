"""The process's pulse: a small write that comes back through the feed, so that the log's position moves in quiet times too.

Every few seconds that write says how the process is; what is asked for in between is a bare beat, or whoever shows processes
would be told of each.

Snapshots are kept for minutes only; a position that stood still would become unreadable. The pulse also measures the feed's
lag end to end, which is what readiness means.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pymongo
from pymongo.errors import PyMongoError

from schema.document import table_of
from schema.system import Pulse as PulseDocument
from schema.system import Vitals
from schema.values import Millis, days, seconds
from server.store import codec
from server.store.failures import heed_cancellation
from server.store.mongo import MongoStore

QUIET_S = 5.0
DEADLINE_S = 5.0
REPORT_EVERY: Millis = seconds(4.5)
"""Less than what is quiet, so that in quiet times every beat is a report."""
LIFETIME: Millis = days(1)

log = logging.getLogger("anime.feed")


class Pulse:
    """Writes a beat when the feed was quiet for a while, or at once when somebody waits for the position to move.

    `report` says how the process is, or None where nobody would ask.
    """

    def __init__(
        self,
        store: MongoStore,
        name: str,
        clock: Callable[[], Millis],
        report: Callable[[], Awaitable[Vitals | None]] | None = None,
    ) -> None:
        self._store, self._name, self._clock, self._report = store, name, clock, report
        self._reported_at: Millis = 0.0
        self._wanted = asyncio.Event()
        self.beats = 0

    def __repr__(self) -> str:
        return f"<Pulse {self._name}, {self.beats} beats>"

    def nudge(self) -> None:
        """Beat as soon as possible."""
        self._wanted.set()

    async def run(self) -> None:
        """Beat for ever. A database that is away is tried again at the next beat."""
        while True:
            try:
                async with asyncio.timeout(QUIET_S):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            self._wanted.clear()
            try:
                with pymongo.timeout(DEADLINE_S):
                    await self._beat()
                heed_cancellation()
            except PyMongoError as error:
                log.warning("pulse missed: %s", type(error).__name__, extra={"action": "feed.pulse"})
                await asyncio.sleep(0.2)

    async def _beat(self) -> None:
        self.beats += 1
        now = self._clock()
        if self._report is not None and now - self._reported_at >= REPORT_EVERY:
            vitals = await self._report()
            if vitals is not None:
                self._reported_at = now
                rows = self._store.database[table_of(Vitals).name]
                await rows.replace_one({"_id": vitals.id}, codec.encode(vitals), upsert=True)
                return
        expires_at = datetime.fromtimestamp((now + LIFETIME) / 1_000, UTC)
        await self._store.database[table_of(PulseDocument).name].update_one(
            {"_id": self._name},
            {"$set": {"beat": self.beats, "expiresAt": expires_at}, "$setOnInsert": {"_creationTime": now}},
            upsert=True,
        )
