"""Recurring work: at each tick exactly one job, whichever workers are alive.

Invariant: a tick's job has the tick in its id, so of all workers that fire it one succeeds, once.
"""

from __future__ import annotations

from math import floor

import msgspec

from jobs.queue import JobSpec
from jobs.states import FIRST
from schema.system import Job
from schema.values import Id, Millis
from schema.writer import Writer


class Recurring(msgspec.Struct, frozen=True):
    """Work of one kind at every multiple of a period, counted from the epoch."""

    spec: JobSpec
    every: Millis

    def tick(self, now: Millis) -> int:
        """The number of the tick that `now` belongs to."""
        return floor(now / self.every)

    def next_at(self, now: Millis) -> Millis:
        """When the next tick begins."""
        return (self.tick(now) + 1) * self.every


async def fire(db: Writer, recurring: Recurring, now: Millis) -> Job | None:
    """Ask for the present tick's work; None when that was done. Raises `NotUnique` when somebody does it this moment."""
    kind, tick = recurring.spec.kind, recurring.tick(now)
    job_id: Id[Job] = Id(f"{kind}:{tick}")
    if await db.get(Job, job_id) is not None:
        return None
    return await db.insert(
        Job(
            id=job_id,
            kind=kind,
            subject=kind,
            arguments="{}",
            state=FIRST,
            attempt=0,
            max_attempts=recurring.spec.max_attempts,
            due_at=now,
            created_at=now,
        )
    )
