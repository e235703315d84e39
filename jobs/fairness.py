"""Fairness: whose job is next when there are more than free slots.

Invariant: nobody gets another slot while somebody with fewer is waiting; among equals the one served longest ago is next,
and of one owner's jobs the oldest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from schema.system import Job


def fair(due: Sequence[Job], running: Iterable[Job], slots: int, served: Mapping[str, int]) -> list[Job]:
    """The `slots` jobs to start, of those due in order of age, given what runs and each owner's latest turn.

    Who has had no turn comes first. Work that belongs to nobody is its own owner.
    """
    held = Counter(owner_of(job) for job in running)
    chosen: list[Job] = []
    waiting = list(due)
    while waiting and len(chosen) < slots:
        # Of what compares equal `min` takes the first, and that is the oldest.
        job = min(waiting, key=lambda each: (held[owner_of(each)], served.get(owner_of(each), 0)))
        waiting.remove(job)
        held[owner_of(job)] += 1
        chosen.append(job)
    return chosen


def owner_of(job: Job) -> str:
    """Whose job it is, among those who share the slots."""
    return job.owner or f"job {job.id}"
