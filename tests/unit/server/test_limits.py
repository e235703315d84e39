"""Rates: a burst, then an even refill, for each person and thing done; refusals cost nothing and say when to come back."""

from __future__ import annotations

import asyncio
import threading

import pytest

from schema.values import Millis, minutes, seconds
from server.config import ConfigurationError, read_settings
from server.errors import RateLimited
from server.limits import Bounds, Limits, Rate, Seats, per_member, per_minute
from server.limits.bounds import IN_PRODUCTION
from server.limits.counts import CountsHere
from tests.unit.server.test_config import PRODUCTION

THREE_A_MINUTE = per_member(3, each=minutes(1))
THREE_A_SECOND = per_member(3, each=seconds(1))


def limits() -> Limits:
    return Limits(lambda: 0.0)


async def spent(counted: Limits, rate: Rate = THREE_A_MINUTE, *, who: str = "ana", what: str = "f") -> bool:
    try:
        await counted.spend(what, who, rate)
    except RateLimited:
        return False
    return True


async def wait_of(counted: Limits, rate: Rate) -> Millis:
    with pytest.raises(RateLimited) as refused:
        await counted.spend("f", "ana", rate)
    return float(refused.value.more["retryAfterMs"])


async def test_a_burst_of_so_many_and_not_one_more() -> None:
    counted = limits()
    assert [await spent(counted) for _ in range(5)] == [True, True, True, False, False]


async def test_who_comes_back_when_told_is_let_in_once() -> None:
    counted = limits()
    for _ in range(3):
        await counted.spend("f", "ana", THREE_A_SECOND)
    wait = await wait_of(counted, THREE_A_SECOND)
    assert 0 < wait <= 334  # a third of the window
    await asyncio.sleep(wait / 1_000)
    assert [await spent(counted, THREE_A_SECOND) for _ in range(2)] == [True, False]


async def test_after_the_window_the_whole_burst_is_there_again() -> None:
    counted = limits()
    for _ in range(3):
        await counted.spend("f", "ana", THREE_A_SECOND)
    await asyncio.sleep(1.001)
    assert [await spent(counted, THREE_A_SECOND) for _ in range(4)] == [True, True, True, False]


async def test_refusals_cost_nothing() -> None:
    counted = limits()
    for _ in range(3):
        await counted.spend("f", "ana", THREE_A_SECOND)
    waits = [await wait_of(counted, THREE_A_SECOND) for _ in range(50)]
    assert waits == sorted(waits, reverse=True)


async def test_people_and_functions_do_not_share() -> None:
    counted = limits()
    assert all([await spent(counted) for _ in range(3)])
    assert await spent(counted, who="ben")
    assert await spent(counted, what="g")
    assert not await spent(counted)


async def test_looking_counts_nothing_and_says_the_same() -> None:
    counted = limits()
    for _ in range(3):
        for _ in range(5):
            await counted.check("f", "ana", THREE_A_MINUTE)
        await counted.count("f", "ana", THREE_A_MINUTE)
    with pytest.raises(RateLimited) as refused:
        await counted.check("f", "ana", THREE_A_MINUTE)
    assert 0 <= float(refused.value.more["retryAfterMs"]) - await wait_of(counted, THREE_A_MINUTE) <= 1_000
    await counted.count("f", "ana", THREE_A_MINUTE)  # what cannot be refused any more


async def test_none_is_unlimited() -> None:
    counted = limits()
    assert all([await spent(counted, per_minute(0)) for _ in range(1_000)])
    await counted.check("f", "ana", per_minute(0))


@pytest.mark.parametrize(("count", "each"), [(-1, seconds(1)), (1, 999), (1, 1_500), (1, 0)])
def test_a_rate_counts_over_whole_seconds(count: int, each: Millis) -> None:
    with pytest.raises(ValueError, match="whole seconds"):
        Rate(count, each)


async def test_only_so_many_callers_are_remembered() -> None:
    counts = CountsHere(size=10)
    for _ in range(3):
        assert (await counts.spend("ana", THREE_A_MINUTE)).admitted
    for other in range(9):
        await counts.spend(f"other {other}", THREE_A_MINUTE)
    assert not (await counts.spend("ana", THREE_A_MINUTE)).admitted
    for other in range(10):
        await counts.spend(f"yet another {other}", THREE_A_MINUTE)
    assert (await counts.spend("ana", THREE_A_MINUTE)).admitted


async def test_counting_here_leaves_no_task_and_no_thread() -> None:
    before = len(asyncio.all_tasks()), threading.active_count()
    counted = limits()
    for number in range(1_000):
        await counted.spend("f", str(number), THREE_A_MINUTE)
    await asyncio.sleep(0)
    assert (len(asyncio.all_tasks()), threading.active_count()) == before


def test_a_seat_is_free_once_somebody_leaves() -> None:
    seats = Seats(2)
    assert [seats.take("ana"), seats.take("ana"), seats.take("ana"), seats.take("ben")] == [True, True, False, True]
    seats.leave("ana")
    assert [seats.take("ana"), seats.take("ana")] == [True, False]
    for owner in ("ana", "ana", "ben"):
        seats.leave(owner)
    assert repr(seats) == "<Seats 0 taken by 0, at most 2 each>"
    assert all(Seats(0).take("ana") for _ in range(10))


def test_every_bound_is_a_variable() -> None:
    assert read_settings({}, default_environment="development").bounds == Bounds()
    assert read_settings(PRODUCTION, default_environment="production").bounds == IN_PRODUCTION
    for number, name in enumerate(Bounds.__struct_fields__, 7):
        read = read_settings({**PRODUCTION, name.upper(): str(number)}, default_environment="production")
        assert getattr(read.bounds, name) == number
        with pytest.raises(ConfigurationError, match=name.upper()):
            read_settings({name.upper(): "-1"}, default_environment="development")


def test_in_development_nobody_is_bounded_by_where_they_are() -> None:
    by_caller = [name for name in Bounds.__struct_fields__ if name.endswith(("_address", "_member"))]
    assert len(by_caller) == 9
    assert {getattr(Bounds(), name) for name in by_caller} == {0}
    assert all(getattr(IN_PRODUCTION, name) > 0 for name in by_caller)


@pytest.mark.parametrize(
    "url",
    ["redis://127.0.0.1:6379/0", "rediss://:secret@redis.example:6380", "redis://[::1]/1", "redis://u:p@host?db=2"],
)
async def test_an_address_of_redis_is_taken_as_it_is(url: str) -> None:
    assert read_settings({"REDIS_URL": url}, default_environment="development").redis_url == url
    counted = Limits(lambda: 0.0, url)
    await counted.aclose()


@pytest.mark.parametrize(
    "url", ["localhost:6379", "http://redis", "redis://:secret@", "redis://host:port", "redis://host/name"]
)
def test_what_is_no_address_of_redis_is_said_at_start(url: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL is not usable; it must") as error:
        read_settings({"REDIS_URL": url}, default_environment="development")
    assert "secret" not in str(error.value)
