"""A lease held by this process: renewed while the work lasts, and watched in case somebody takes the job away.

Invariant: `ends` is never later than the lease in the database, so whoever stops by then has stopped in time.
"""

from __future__ import annotations

import asyncio

from jobs.cancellation import honoured
from jobs.errors import LeaseLost
from jobs.patience import NOT_NOW, Patience
from jobs.queue import moved_on, renew
from jobs.seams import Chance, Clock, Feed, Transact
from jobs.waits import Waits
from schema.reader import Reader
from schema.system import Job
from schema.values import Millis
from schema.writer import Writer

RENEWALS_PER_LEASE = 3
MIN_RENEWAL_S = 1.0
"""After a stall of this process the lease may be over already; whether somebody took it, only asking can tell."""


class Lease:
    """One attempt's hold on its job."""

    __slots__ = ("_clock", "_database", "_feed", "_length", "_random", "_waits", "ends", "job")

    def __init__(
        self, job: Job, length: Millis, *, database: Transact, feed: Feed, clock: Clock, random: Chance
    ) -> None:
        self.job, self.ends, self._length = job, job.due_at, length
        self._database, self._feed, self._clock, self._random = database, feed, clock, random
        self._waits = Waits()

    def __repr__(self) -> str:
        return f"<Lease of {self.job.id}, attempt {self.job.attempt}, until {self.ends}>"

    @property
    def is_over(self) -> bool:
        """May somebody else have the job by now?"""
        return self._clock() >= self.ends

    def release(self) -> None:
        """The work is done: let `keep` and `watch` return, when they have finished what they are asking."""
        self._waits.end()

    async def keep(self) -> None:
        """Renew until released. Raises `LeaseLost`, at the latest when the lease has ended unrenewed."""
        while True:
            await self._waits.wait(lambda: asyncio.sleep(self._length / RENEWALS_PER_LEASE / 1_000))
            if self._waits.ended:
                return
            left_s = max(MIN_RENEWAL_S, (self.ends - self._clock()) / 1_000)
            try:
                async with asyncio.timeout(left_s):
                    await self._renew()
            except TimeoutError as error:
                raise self.lost() from error

    async def watch(self) -> None:
        """Look at the job whenever it changes, until released. Raises `LeaseLost` once it is not this attempt's."""
        patience = Patience(self._random)
        while not self._waits.ended:
            try:
                row, change = await honoured(self._feed.look(self._row))
                if moved_on(self.job, row):
                    raise self.lost()
                patience.reset()
                await self._waits.wait(change.wait)
            except NOT_NOW:
                await self._waits.wait(patience.pause)

    def lost(self) -> LeaseLost:
        """The error to raise when this lease is no more."""
        return LeaseLost(self.job.id, self.job.attempt)

    async def _renew(self) -> None:
        patience = Patience(self._random)
        while True:
            try:
                renewed, _ = await honoured(self._database.transact(self._renewal))
            except NOT_NOW:
                await patience.pause()
            else:
                self.ends = renewed.due_at
                return

    async def _renewal(self, db: Writer) -> Job:
        return await renew(db, self.job, self._clock(), self._length)

    async def _row(self, db: Reader) -> Job | None:
        return await db.get(Job, self.job.id)
