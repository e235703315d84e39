"""The queue: jobs in a table, and the only functions that move them, each inside the caller's transaction.

Invariant: `attempt` only grows, by one with each claim, so a claim's number is a fencing token: whoever holds an older
one can neither renew nor settle. Every function that moves a job reads it first in the same transaction, so of two that
move it at once one meets a conflict and reads again.
"""

from __future__ import annotations

from math import inf, nextafter
from operator import attrgetter
from typing import TypeAlias

import msgspec

from jobs.errors import LeaseLost
from jobs.policy import Complete, Decision, GiveUp, Postpone, Retry
from jobs.states import FIRST, SETTLED, Event, apply
from schema.reader import Reader
from schema.system import Job, JobState
from schema.values import Id, Millis, seconds
from schema.writer import Writer

WAITING: tuple[JobState, ...] = ("queued", "leased")
"""The states in which time brings something to do."""
MAX_JOBS_OF_SUBJECT = 100


class JobSpec(msgspec.Struct, frozen=True):
    """How jobs of one kind are run. `deadline` is for one attempt."""

    kind: str
    max_attempts: int = 2
    first_backoff: Millis = seconds(2)
    lease: Millis = seconds(10)
    deadline: Millis = seconds(120)


class Lapsed(msgspec.Struct, frozen=True):
    """A job whose lease ended without a word. Its attempt has failed; what follows is for the policy to decide."""

    job: Job


Claim: TypeAlias = Job | Lapsed | None


def attempts_spent(job: Job, spec: JobSpec) -> int:
    """How many attempts count so far: each that was handed back undone has been added to those allowed."""
    return job.attempt - (job.max_attempts - spec.max_attempts)


async def enqueue(
    db: Writer, spec: JobSpec, subject: str, arguments: str = "{}", delay: Millis = 0, owner: str | None = None
) -> Job:
    """Ask for work in the transaction that causes it. Slots are shared out fairly among owners."""
    return await db.insert(
        Job(
            kind=spec.kind,
            subject=subject,
            owner=owner,
            arguments=arguments,
            state=FIRST,
            attempt=0,
            max_attempts=spec.max_attempts,
            due_at=db.now + delay,
            created_at=db.now,
        )
    )


async def due(db: Reader, now: Millis, limit: int) -> list[Job]:
    """The jobs that a worker should claim, oldest first: those to start, and those whose lease ended.

    The read set ends where the answer does, and the answer expires when the next job becomes due.
    """
    found: list[Job] = []
    for state in WAITING:
        found += await db.take(Job.by_state_and_due.eq(state=state).at_most(now), limit)
    found.sort(key=attrgetter("due_at"))
    if len(found) < limit:
        for state in WAITING:
            following = await db.one(Job.by_state_and_due.eq(state=state).at_least(nextafter(now, inf)))
            if following is not None:
                db.expire_at(following.due_at)
    return found[:limit]


async def claim(db: Writer, job_id: Id[Job], worker: str, now: Millis, lease: Millis) -> Claim:
    """Lease a due job to `worker`. None when it is not to be had: settled, not due, or somebody else was faster.

    A job whose lease ended is not claimed: that attempt has failed, and whether there is another one is decided as
    after every failure, so that there is one road to a retry and one to giving up.
    """
    job = await db.get(Job, job_id)
    if job is None or job.state in SETTLED or job.due_at > now:
        return None
    if job.state == "leased":
        return Lapsed(job)
    return await _move(db, job, "claim", worker=worker, attempt=job.attempt + 1, due_at=now + lease)


async def renew(db: Writer, job: Job, now: Millis, lease: Millis) -> Job:
    """Hold a leased job for longer. Raises `LeaseLost`."""
    return await _move(db, await _held(db, job), "renew", due_at=now + lease)


async def settle(db: Writer, job: Job, decision: Decision, now: Millis) -> Job:
    """Make a decision about the attempt `job` come true. Raises `LeaseLost`."""
    held = await _held(db, job)
    match decision:
        case Complete():
            return await _move(db, held, "succeed", reason=None, settled_at=now)
        case Retry(at=at, reason=reason):
            return await _move(db, held, "retry", worker=None, due_at=at, reason=reason)
        case Postpone(at=at, reason=reason):
            return await _undone(db, held, at, reason)
        case GiveUp(reason=reason):
            return await _move(db, held, "give_up", reason=reason, settled_at=now)


async def hand_back(db: Writer, job: Job, now: Millis) -> Job:
    """Return a leased job undone, for anybody to take at once. Raises `LeaseLost`.

    The attempt keeps its number, or the token would be given twice; the job is allowed one more instead.
    """
    held = await _held(db, job)
    return await _undone(db, held, now, held.reason)


async def cancel(db: Writer, job_id: Id[Job], now: Millis) -> Job | None:
    """End a job that has not ended yet; its attempt, if one runs, is told. None when there is nothing to end."""
    job = await db.get(Job, job_id)
    if job is None or job.state in SETTLED:
        return None
    return await _move(db, job, "cancel", settled_at=now)


async def of_subject(db: Reader, subject: str) -> list[Job]:
    """The newest jobs about a document, newest first."""
    return await db.take(Job.by_subject.eq(subject=subject).newest_first(), MAX_JOBS_OF_SUBJECT)


def moved_on(job: Job, row: Job | None) -> bool:
    """Does this row say that the attempt `job` no longer holds the job? A row from before the claim says nothing."""
    if row is None or row.attempt != job.attempt:
        return row is None or row.attempt > job.attempt
    return row.state != "leased" or row.worker != job.worker


async def _held(db: Writer, job: Job) -> Job:
    row = await db.get(Job, job.id)
    if row is None or moved_on(job, row):
        raise LeaseLost(job.id, job.attempt)
    return row


async def _undone(db: Writer, held: Job, due_at: Millis, reason: str | None) -> Job:
    allowed = held.max_attempts + 1
    return await _move(db, held, "hand_back", worker=None, due_at=due_at, reason=reason, max_attempts=allowed)


async def _move(db: Writer, job: Job, event: Event, **changes: str | float | None) -> Job:
    return await db.patch(job, state=apply(job.state, event), **changes)
