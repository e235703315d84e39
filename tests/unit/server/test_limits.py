"""Rates: a burst, then an even refill, for each person and function; refusals cost nothing and say when to come back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.values import minutes, seconds
from server import limits
from server.errors import RateLimited
from server.limits import Limits, Rate, per_member

THREE_A_MINUTE = per_member(3, each=minutes(1))
ROUNDING_MS = 0.01
START = 1_800_000_000_000.0


def spent(counted: Limits, now: float, caller: str = "ana", function: str = "f") -> bool:
    try:
        counted.spend(function, caller, THREE_A_MINUTE, now)
    except RateLimited:
        return False
    return True


def test_a_burst_then_one_each_interval() -> None:
    counted = Limits()
    assert [spent(counted, START) for _ in range(4)] == [True, True, True, False]
    assert [spent(counted, START + seconds(20)) for _ in range(2)] == [True, False]
    assert [spent(counted, START + minutes(5)) for _ in range(4)] == [True, True, True, False]


def test_the_refusal_says_when_the_next_call_is_good() -> None:
    counted = Limits()
    for _ in range(3):
        counted.spend("f", "ana", THREE_A_MINUTE, START)
    with pytest.raises(RateLimited) as refused:
        counted.spend("f", "ana", THREE_A_MINUTE, START + seconds(5))
    wait = refused.value.more["retryAfterMs"]
    assert wait == seconds(15)
    assert not spent(counted, START + seconds(19.9))
    assert spent(counted, START + seconds(5) + float(wait))


def test_people_and_functions_do_not_share() -> None:
    counted = Limits()
    assert all(spent(counted, START) for _ in range(3))
    assert spent(counted, START, caller="ben")
    assert spent(counted, START, function="g")
    assert not spent(counted, START)


def test_only_so_many_callers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_TRACKED_CALLERS", 10)
    counted = Limits()
    for number in range(100):
        spent(counted, START, caller=f"caller {number}")
    assert repr(counted) == "<Limits of 10 callers>"


@given(st.lists(st.floats(0, 30_000), max_size=60), st.integers(1, 10), st.floats(1_000, 100_000))
def test_no_window_holds_more_than_a_burst_and_its_refill(pauses: list[float], count: int, each: float) -> None:
    counted, rate, now = Limits(), Rate(count, each), START
    admitted: list[float] = []
    waits: list[float] = []
    for pause in pauses:
        now += pause
        try:
            counted.spend("f", "ana", rate, now)
            admitted.append(now)
        except RateLimited as refused:
            waits.append(float(refused.more["retryAfterMs"]))
    assert all(0 < wait <= each + ROUNDING_MS for wait in waits)
    for index, first in enumerate(admitted):
        for further, last in enumerate(admitted[index:], start=1):
            assert further <= count + (last - first) * count / each + ROUNDING_MS
