"""The ticker: wakes at every tick of the recurring work and fires it. Each worker has one; together they fire once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from jobs.patience import NOT_NOW, Patience
from jobs.schedule import Recurring, fire
from jobs.seams import Chance, Clock, Transact
from schema.errors import NotUnique

log = logging.getLogger("anime.jobs")


class Ticker:
    """Fires what recurs, for as long as it runs."""

    __slots__ = ("_clock", "_database", "_random", "_recurring")

    def __init__(self, database: Transact, recurring: Sequence[Recurring], *, clock: Clock, random: Chance) -> None:
        self._database, self._recurring = database, tuple(recurring)
        self._clock, self._random = clock, random

    def __repr__(self) -> str:
        return f"<Ticker of {', '.join(each.spec.kind for each in self._recurring)}>"

    async def run(self) -> None:
        """Fire for ever; a tick that came while the database was away is fired when it is back, if it is not over."""
        async with asyncio.TaskGroup() as group:
            for each in self._recurring:
                group.create_task(self._keep_firing(each), name=f"ticker {each.spec.kind}")

    async def _keep_firing(self, recurring: Recurring) -> None:
        patience = Patience(self._random)
        while True:
            now = self._clock()
            try:
                await self._database.transact(partial(fire, recurring=recurring, now=now))
            except NotUnique:
                log.debug("somebody else fired %s", recurring.spec.kind, extra={"action": "jobs.tick"})
            except NOT_NOW:
                await patience.pause()
                continue
            patience.reset()
            await asyncio.sleep(max(0.0, recurring.next_at(now) - self._clock()) / 1_000)
