"""Fairness: whose job is next when there are more than free slots.

Invariant: nobody gets another slot while somebody with fewer is waiting; among equals the longest wait wins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from schema.system import Job


def fair(due: Sequence[Job], running: Iterable[Job], slots: int) -> list[Job]:
    """The `slots` jobs to start, of those due in order of age, given what runs. Work that belongs to nobody is its own owner."""
    held = Counter(_owner(job) for job in running)
    chosen: list[Job] = []
    waiting = list(due)
    while waiting and len(chosen) < slots:
        job = min(waiting, key=lambda each: held[_owner(each)])  # the first of equals is the oldest
        waiting.remove(job)
        held[_owner(job)] += 1
        chosen.append(job)
    return chosen


def _owner(job: Job) -> str:
    return job.owner or f"job {job.id}"
