"""What a kind of job has to offer so that the loop can run it. The server implements it; the loop knows no kind.

Invariant: everything written about a job's subject is written in the transaction that moves the job: `begin` with the
claim, `Done.commit`, `retry` and `give_up` with the settling. They run again after a conflict and have no other effect.
"""

from __future__ import annotations

from typing import Protocol

from jobs.outcome import Outcome
from jobs.queue import JobSpec
from schema.system import Job
from schema.writer import Writer


class Runner(Protocol):
    """One kind of work."""

    @property
    def spec(self) -> JobSpec:
        """How its jobs are run."""
        ...

    async def begin(self, db: Writer, job: Job) -> None:
        """An attempt begins. After a failed one `retry` has been called first, whatever became of its worker."""
        ...

    async def run(self, job: Job) -> Outcome:
        """Do the work, outside of any transaction. May be cancelled at every await; what it raises counts as broken."""
        ...

    async def retry(self, db: Writer, job: Job, reason: str) -> None:
        """The attempt has ended without a result and there will be another."""
        ...

    async def give_up(self, db: Writer, job: Job, reason: str) -> None:
        """The job has failed for good. Called exactly once for a job, unless the job is cancelled or succeeds."""
        ...
