"""The queue, looked at from outside of it: how much waits and for how long, so that an old job is never silently stuck.

It runs in every process and takes no slot of the queue it watches.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from schema.errors import SchemaError
from schema.reader import Reader
from schema.system import Job
from schema.values import Millis, minutes
from server.database import Database

EVERY_S = 15.0
TOO_OLD: Millis = minutes(10)
MAX_COUNTED = 10_000

log = logging.getLogger("anime.jobs")


class QueueState(msgspec.Struct, frozen=True):
    """The queue at one moment. Counts end at `MAX_COUNTED`; the wait is that of the job that has been due the longest."""

    queued: int
    leased: int
    dead: int
    oldest_wait: Millis


async def queue_state(db: Reader, now: Millis) -> QueueState:
    """Look at the queue."""
    queued, leased, dead = (Job.by_state_and_due.eq(state=state) for state in ("queued", "leased", "dead"))
    oldest = await db.one(queued.at_most(now))
    return QueueState(
        queued=await db.count(queued, MAX_COUNTED),
        leased=await db.count(leased, MAX_COUNTED),
        dead=await db.count(dead, MAX_COUNTED),
        oldest_wait=0.0 if oldest is None else now - oldest.due_at,
    )


class QueueWatch:
    """Looks every few seconds, remembers what it saw, and is loud about what waits too long."""

    def __init__(self, database: Database, clock: Callable[[], Millis]) -> None:
        self._database, self._clock = database, clock
        self.last: QueueState | None = None

    def __repr__(self) -> str:
        return f"<QueueWatch {self.last}>"

    async def run(self) -> None:
        """Look for ever. While the database is away there is nothing to say that others do not say."""
        while True:
            try:
                await self.look()
            except SchemaError as error:
                log.debug("the queue cannot be seen: %s", error, extra={"action": "jobs.unseen"})
            except Exception:  # a row that we do not understand is no reason to end everything else
                log.exception("the queue is not understood", extra={"action": "jobs.unseen"})
            await asyncio.sleep(EVERY_S)

    async def look(self) -> QueueState:
        """Look once."""
        self.last = seen = await queue_state(await self._database.newest(), self._clock())
        if seen.oldest_wait > TOO_OLD:
            waits = f"{seen.oldest_wait / minutes(1):.0f} minutes"
            log.error("a job has been due for %s; is a worker running?", waits, extra={"action": "jobs.stuck"})
        return seen

    def metrics(self) -> dict[str, float]:
        """What was seen last, by metric name."""
        if self.last is None:
            return {}
        return {
            "anime_jobs_queued": self.last.queued,
            "anime_jobs_leased": self.last.leased,
            "anime_jobs_dead": self.last.dead,
            "anime_jobs_oldest_wait_seconds": self.last.oldest_wait / 1_000,
        }
