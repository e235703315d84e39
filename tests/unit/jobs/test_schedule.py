"""Ticks: their numbers and when the next one begins."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from jobs.queue import JobSpec
from jobs.schedule import Recurring
from schema.values import minutes, seconds

periods = some.integers(min_value=1, max_value=100_000).map(float)
moments = some.floats(min_value=0, max_value=4e12, allow_nan=False)


@given(period=periods, now=moments)
def test_a_moment_lies_in_its_tick_and_before_the_next(period: float, now: float) -> None:
    recurring = Recurring(JobSpec("chore"), every=seconds(period))
    assert recurring.tick(now) * recurring.every <= now < recurring.next_at(now)


@given(period=periods, now=moments)
def test_ticks_follow_each_other_without_a_gap(period: float, now: float) -> None:
    recurring = Recurring(JobSpec("chore"), every=seconds(period))
    assert recurring.tick(recurring.next_at(now)) == recurring.tick(now) + 1


def test_every_worker_counts_from_the_same_moment() -> None:
    assert Recurring(JobSpec("chore"), every=minutes(10)).tick(minutes(25)) == 2
