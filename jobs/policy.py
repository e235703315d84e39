"""What follows from an outcome. Decides, and performs nothing.

Invariant: every job ends. A retry needs an attempt that is left, refusal needs no second asking, and what is postponed
again and again counts as tried once the job is old enough.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from jobs.outcome import Broken, Done, Later, Outcome, Refused, Transient
from schema.system import Job
from schema.values import Millis, hours, minutes, seconds

MAX_BACKOFF_MS: Millis = minutes(5)
MAX_DOUBLINGS = 32
MAX_POSTPONED_MS: Millis = hours(1)
"""How old a job may be for its postponements to cost nothing: somebody is waiting for it, or for their credit."""
POSTPONED_SPREAD_MS: Millis = seconds(5)


class Complete(msgspec.Struct, frozen=True):
    """The job has succeeded."""


class Retry(msgspec.Struct, frozen=True):
    """Try again, not before `at`."""

    at: Millis
    reason: str


class Postpone(msgspec.Struct, frozen=True):
    """Hand the job back as if it had not been claimed, to be taken not before `at`."""

    at: Millis
    reason: str


class GiveUp(msgspec.Struct, frozen=True):
    """The job has failed for good."""

    reason: str


Decision: TypeAlias = Complete | Retry | Postpone | GiveUp


def decide(job: Job, outcome: Outcome, now: Millis, jitter: float, *, first_backoff: Millis) -> Decision:
    """What becomes of a leased job after its attempt ended so. `jitter` lies in [0, 1).

    The pause doubles with each attempt; half of it is certain, half is chance, so that what failed together is not
    tried again together. A provider's `retry_after` counts where it is longer than the certain half. What is postponed
    together is spread over a few seconds.
    """
    patient_until = job.created_at + MAX_POSTPONED_MS
    if isinstance(outcome, Later) and now >= patient_until:
        outcome = Transient(outcome.reason, outcome.at_or_after - now)
    match outcome:
        case Done():
            return Complete()
        case Refused(reason=reason):
            return GiveUp(reason)
        case Later(at_or_after=moment, reason=reason):
            earliest = max(now + first_backoff / 2, min(moment, patient_until))
            return Postpone(earliest + jitter * POSTPONED_SPREAD_MS, reason)
        case Transient(reason=reason) | Broken(reason=reason):
            if job.attempt >= job.max_attempts:
                return GiveUp(reason)
            asked = outcome.retry_after if isinstance(outcome, Transient) else None
            half = backoff(job.attempt, first_backoff) / 2
            return Retry(now + max(half, asked or 0.0) + jitter * half, reason)


def backoff(attempt: int, first: Millis) -> Millis:
    """The longest pause after this attempt without anybody asking for more."""
    return min(MAX_BACKOFF_MS, first * 2.0 ** min(max(0, attempt - 1), MAX_DOUBLINGS))
