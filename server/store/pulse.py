"""The process's pulse: a small write that comes back through the feed, so that the log's position moves in quiet times too.

Every few seconds it says beside it how the process is, in a row of its own: who shows processes is not told of each beat.

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
from schema.migrations import LATEST
from schema.system import Pulse as PulseDocument
from schema.system import Vitals
from schema.values import Millis, days, seconds
from server.store import codec
from server.store.failures import heed_cancellation, translated
from server.store.mongo import READ_DEADLINE_S, MongoStore

QUIET_S = 5.0
DEADLINE_S = 5.0
FAREWELL_S = 1.0
REPORT_EVERY: Millis = seconds(4.5)
"""Less than what is quiet, so that in quiet times every beat is a report."""
LIFETIME: Millis = days(1)
SILENT_FOR: Millis = seconds(QUIET_S * 4)
"""A process that has not written its pulse for so long has gone."""
MAX_LIVING = 1_000

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
        self._pulses, self._reports = (store.database[table_of(each).name] for each in (PulseDocument, Vitals))
        self._name, self._clock, self._report = name, clock, report
        self._reported_at: Millis = 0.0
        self._wanted = asyncio.Event()
        self.beats = 0

    def __repr__(self) -> str:
        return f"<Pulse {self._name}, {self.beats} beats>"

    def nudge(self) -> None:
        """Beat as soon as possible."""
        self._wanted.set()

    async def run(self) -> None:
        """Beat for ever, at once to begin with: a migration looks who is there. A database that is away is tried again later."""
        self.nudge()
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
            except PyMongoError as error:
                log.warning("pulse missed: %s", type(error).__name__, extra={"action": "feed.pulse"})
                await asyncio.sleep(0.2)
            heed_cancellation()

    async def stop(self) -> None:
        """Say that we are gone, so that nobody waits for it to be noticed."""
        try:
            with pymongo.timeout(FAREWELL_S):
                for rows in (self._pulses, self._reports):
                    await rows.delete_one({"_id": self._name})
        except PyMongoError as error:
            log.info("pulse left behind: %s", type(error).__name__, extra={"action": "feed.pulse"})

    async def _beat(self) -> None:
        self.beats += 1
        now = self._clock()
        if self._report is not None and now - self._reported_at >= REPORT_EVERY:
            vitals = await self._report()
            if vitals is not None:
                self._reported_at = now
                await self._reports.replace_one({"_id": self._name}, codec.encode(vitals), upsert=True)
        expires_at = datetime.fromtimestamp((now + LIFETIME) / 1_000, UTC)
        said = {"beat": self.beats, "expiresAt": expires_at, "step": LATEST}
        await self._pulses.update_one(
            {"_id": self._name}, {"$set": said, "$setOnInsert": {"_creationTime": now}}, upsert=True
        )


async def living(store: MongoStore, now: Millis) -> dict[str, int]:
    """The processes that gave a sign of life a moment ago, and the last migration that each knows of; 0 for none."""
    since = datetime.fromtimestamp((now + LIFETIME - SILENT_FOR) / 1_000, UTC)
    pulses = store.database[table_of(PulseDocument).name]
    with translated(), pymongo.timeout(READ_DEADLINE_S):
        rows = await pulses.find({"expiresAt": {"$gt": since}}).limit(MAX_LIVING).to_list()
    return {row["_id"]: int(row.get("step", 0)) for row in rows}
