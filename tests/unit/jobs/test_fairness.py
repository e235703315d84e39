"""Whose job is next: nobody gets another slot while somebody with fewer waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as some

from jobs.fairness import fair
from schema.system import Job
from schema.values import Id

owners = some.sampled_from(["ana", "ben", "cleo", None])


def jobs_of(names: Sequence[str | None]) -> list[Job]:
    """One job for each, oldest first."""
    return [
        Job(id=Id(f"job{number}"), kind="k", subject="s", arguments="{}", state="queued", attempt=0, max_attempts=2,
            due_at=float(number), created_at=0.0, owner=name)
        for number, name in enumerate(names)
    ]  # fmt: skip


def test_a_long_queue_of_one_member_does_not_keep_another_waiting() -> None:
    due = jobs_of(["ana"] * 50 + ["ben"])
    assert [job.owner for job in fair(due, [], 2, {})] == ["ana", "ben"]


def test_what_runs_counts() -> None:
    due = jobs_of(["ana", "ben"])
    assert [job.owner for job in fair(due, jobs_of(["ana"]), 1, {})] == ["ben"]


def test_among_equals_the_longest_wait_wins() -> None:
    assert [job.id for job in fair(jobs_of(["ana", "ben", "ana", "ben"]), [], 3, {})] == ["job0", "job1", "job2"]


@given(due=some.lists(owners, max_size=30), running=some.lists(owners, max_size=6), slots=some.integers(0, 8))
def test_slots_are_filled_and_shared_out_evenly(due: list[str | None], running: list[str | None], slots: int) -> None:
    waiting = jobs_of(due)
    chosen = fair(waiting, jobs_of(running), slots, {})
    assert len(chosen) == min(slots, len(due))
    assert len({job.id for job in chosen}) == len(chosen)
    held = Counter(running) + Counter(job.owner for job in chosen)
    left = Counter(due) - Counter(job.owner for job in chosen)
    gained = {job.owner for job in chosen} - {None}
    for rich in gained:
        for poor in set(left) - {None}:
            assert held[rich] <= held[poor] + 1


def test_with_one_slot_those_who_wait_take_turns() -> None:
    due = jobs_of(["ana", "ana", "ana", "ben"])
    assert [job.owner for job in fair(due, [], 1, {"ana": 1})] == ["ben"]
    assert [job.owner for job in fair(due, [], 1, {"ana": 1, "ben": 2})] == ["ana"]
