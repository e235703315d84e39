"""What the loop does inside one transaction each: a job's move together with what its runner writes about it.

Invariant: the fence is asked before the runner writes, and what it writes is committed with the move or not at all.
"""

from __future__ import annotations

from typing import Final

from jobs.outcome import INTERRUPTED, SOMETHING_WRONG, Done, Outcome
from jobs.policy import Decision, GiveUp, Postpone, Retry, decide
from jobs.queue import Claim, Lapsed, claim, hand_back, settle
from jobs.runner import Runner
from schema.system import Job
from schema.values import Id, Millis
from schema.writer import Writer

HANDED_BACK: Final = "The server is restarting; the work continues in a moment."


async def start(db: Writer, job_id: Id[Job], runner: Runner, worker: str, now: Millis, jitter: float) -> Claim:
    """Claim a job and begin its attempt, or decide what follows from an attempt that nobody finished."""
    found = await claim(db, job_id, worker, now, runner.spec.lease)
    match found:
        case Job():
            await runner.begin(db, found)
        case Lapsed(job=job):
            await conclude(db, job, runner, INTERRUPTED, now, jitter)
        case None:
            pass
    return found


async def fail_to_start(db: Writer, job_id: Id[Job], runner: Runner, worker: str, now: Millis, jitter: float) -> None:
    """The attempt cannot even begin: it counts, and it is broken."""
    found = await claim(db, job_id, worker, now, runner.spec.lease)
    if isinstance(found, Job):
        await conclude(db, found, runner, SOMETHING_WRONG, now, jitter)


async def conclude(db: Writer, job: Job, runner: Runner, outcome: Outcome, now: Millis, jitter: float) -> Decision:
    """Settle an attempt by its outcome. Raises `LeaseLost`."""
    decision = decide(job, outcome, now, jitter, first_backoff=runner.spec.first_backoff)
    await settle(db, job, decision, now)
    if isinstance(outcome, Done):
        await outcome.commit(db)
    elif isinstance(decision, Retry | Postpone):
        await runner.retry(db, job, decision.reason)
    elif isinstance(decision, GiveUp):
        await runner.give_up(db, job, decision.reason)
    return decision


async def give_back(db: Writer, job: Job, runner: Runner, now: Millis) -> None:
    """Return an attempt undone. Raises `LeaseLost`."""
    await hand_back(db, job, now)
    await runner.retry(db, job, HANDED_BACK)
