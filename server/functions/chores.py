"""Chores: jobs about which no document says how far they are. Doing one twice is the same as once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from jobs.outcome import Done, Outcome
from jobs.queue import JobSpec
from schema.system import Job
from schema.writer import Writer

log = logging.getLogger("anime.jobs")


class Chore:
    """Runs jobs of one kind by awaiting one function; when it gives up, the dead job and the log are the record."""

    def __init__(self, spec: JobSpec, work: Callable[[Job], Awaitable[None]]) -> None:
        self.spec, self._work = spec, work

    def __repr__(self) -> str:
        return f"<Chore {self.spec.kind}>"

    async def begin(self, db: Writer, job: Job) -> None:
        """Nothing shows that it began."""

    async def run(self, job: Job) -> Outcome:
        """Do it."""
        await self._work(job)
        return Done(_nothing_more)

    async def retry(self, db: Writer, job: Job, reason: str) -> None:
        """Nothing shows that it failed."""

    async def give_up(self, db: Writer, job: Job, reason: str) -> None:
        """Nobody waits for it; an operator should know."""
        log.error("%s was given up: %s", job.kind, reason, extra={"action": "job.dead", "job": job.id})


async def _nothing_more(db: Writer) -> None:
    return None
