"""Fan-outs: few are woken, many are led in slices, and nobody is forgotten."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from itertools import count

import pytest
from msgspec import Raw

from schema.readset import ReadSet
from schema.values import Millis, Timestamp
from subscriptions.answers import Answer, Question, Watching
from subscriptions.cohorts import Cohorts
from subscriptions.effects import Value
from subscriptions.fan_out import FEW_WATCHERS, IDLE_TURN, SLICE, YIELDS, FanOuts
from subscriptions.leap import Leap, Screen
from tests.support.virtual import run, turns


class Crowd:
    """What happens to everybody, in order; and when the network was served."""

    def __init__(self) -> None:
        self.leapt: list[tuple[int, Leap]] = []
        self.woken: list[int] = []
        self.unable: set[int] = set()
        self.broken: set[int] = set()
        self.arrived: list[Leap] = []
        self.per_slice: list[int] = []
        self.pushed: list[tuple[Millis, int]] = []

    def watching(self, count: int) -> set[Watching]:
        return {(Viewer(self, number), number) for number in range(count)}


class Viewer(Screen):
    """One who watches, and takes a leap unless told otherwise."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self.crowd, self.number = crowd, number

    def invalidated(self, query_id: int) -> None:
        assert query_id == self.number
        self.crowd.woken.append(self.number)

    def leap(self, watching: Watching, leap: Leap) -> bool:
        if self.number in self.crowd.broken:
            raise ValueError(f"{self.number} is broken")
        if self.number in self.crowd.unable:
            return False
        self.crowd.leapt.append((self.number, leap))
        return True


class Bystander:
    """One who watches and has never heard of leaps."""

    def __init__(self) -> None:
        self.told = 0

    def invalidated(self, query_id: int) -> None:
        self.told += 1


def answer(at: int) -> Answer:
    return Answer(Question("m:f", b"{}", None), None, (), Timestamp(at), Value(Raw(b"1"), str(at).encode()), ReadSet())


def leap(at: int) -> Leap:
    return Leap(answer(1), answer(at), Timestamp(at), 0.0)


def fan_outs(crowd: Crowd, *ways: Leap | None, clock: Callable[[], Millis] = lambda: 0.0) -> FanOuts:
    rest = list(ways)

    async def successor(old: Answer) -> Leap | None:
        await asyncio.sleep(0)
        return rest.pop(0)

    return in_a(crowd, successor, clock)


def in_a(
    crowd: Crowd, successor: Callable[[Answer], Awaitable[Leap | None]], clock: Callable[[], Millis] = lambda: 0.0
) -> FanOuts:
    nobody_together = Cohorts(lambda *_: None, lambda *_: None)
    return FanOuts(successor, crowd.arrived.append, nobody_together, clock, lambda *handed: crowd.pushed.append(handed))


async def until_quiet(crowd: Crowd) -> None:
    """Serve the network until nothing has happened for a few turns."""
    quiet = 0
    while quiet < 5:
        before = len(crowd.leapt) + len(crowd.woken)
        await asyncio.sleep(0)
        more = len(crowd.leapt) + len(crowd.woken) - before
        quiet = 0 if more else quiet + 1
        crowd.per_slice += [more] * bool(more)


def led(crowd: Crowd, count: int, *ways: Leap | None) -> None:
    async def story() -> None:
        fan_outs(crowd, *ways).tell(answer(1), crowd.watching(count))
        await until_quiet(crowd)

    run(story)


def test_few_are_woken_at_once() -> None:
    async def story() -> None:
        crowd = Crowd()
        fan_outs(crowd).tell(answer(1), crowd.watching(FEW_WATCHERS - 1))
        assert sorted(crowd.woken) == list(range(FEW_WATCHERS - 1))

    run(story)


def test_many_leap_in_slices() -> None:
    crowd, way = Crowd(), leap(2)
    led(crowd, 2 * SLICE + 3, way)
    assert sorted(crowd.leapt, key=lambda each: each[0]) == [(number, way) for number in range(2 * SLICE + 3)]
    assert (crowd.woken, crowd.arrived, crowd.per_slice) == ([], [way], [SLICE, SLICE, 3])
    assert [count for _, count in crowd.pushed] == [SLICE, SLICE, 3]


def turns_between_slices(busy: int) -> int:
    """How many turns others get between two slices while they make use of `busy` of them."""
    crowd, moments = Crowd(), count()

    def clock() -> Millis:
        return min(next(moments), busy) * 2 * IDLE_TURN

    async def story() -> int:
        fan_outs(crowd, leap(2), clock=clock).tell(answer(1), crowd.watching(2 * SLICE))
        passed = 0
        while len(crowd.leapt) < 2 * SLICE:
            await asyncio.sleep(0)
            passed += len(crowd.leapt) == SLICE
        return passed

    return run(story)


def test_a_pause_lasts_for_as_long_as_somebody_makes_use_of_it() -> None:
    assert [turns_between_slices(busy) for busy in (0, 1, 5)] == [1, 2, 6]
    assert turns_between_slices(1_000) == YIELDS


def test_who_cannot_is_woken() -> None:
    crowd = Crowd()
    crowd.unable = {3, SLICE + 5}
    led(crowd, 2 * SLICE, leap(2))
    assert set(crowd.woken) == crowd.unable
    assert len(crowd.leapt) == sum(count for _, count in crowd.pushed) == 2 * SLICE - 2


def test_without_a_way_for_all_everybody_is_woken_in_slices() -> None:
    crowd = Crowd()
    led(crowd, SLICE + 1, None)
    assert sorted(crowd.woken) == list(range(SLICE + 1))
    assert (crowd.per_slice, crowd.arrived) == ([SLICE, 1], [])


def test_who_is_left_when_a_commit_overtakes_goes_to_what_is_newest() -> None:
    crowd, first, second = Crowd(), leap(2), leap(3)

    async def story() -> None:
        fan_outs(crowd, first, second).tell(answer(1), crowd.watching(2 * SLICE))
        await turns(2)
        assert len(crowd.leapt) == SLICE
        first.new.stale_at = Timestamp(3)
        await until_quiet(crowd)

    run(story)
    assert [way for _, way in crowd.leapt] == [first] * SLICE + [second] * SLICE
    assert {number for number, _ in crowd.leapt} == set(range(2 * SLICE))
    assert crowd.arrived == [first, second]


def test_whoever_knows_no_leaps_is_told() -> None:
    crowd, bystander = Crowd(), Bystander()

    async def story() -> None:
        fan_outs(crowd, leap(2)).tell(answer(1), crowd.watching(SLICE) | {(bystander, 0)})
        await until_quiet(crowd)

    run(story)
    assert (len(crowd.leapt), bystander.told) == (SLICE, 1)


def broken_successor(crowd: Crowd) -> Callable[[Answer], Awaitable[Leap | None]]:
    async def successor(old: Answer) -> Leap | None:
        raise ValueError("no way")

    return successor


def test_when_it_breaks_nobody_is_left_with_what_is_old(caplog: pytest.LogCaptureFixture) -> None:
    crowd = Crowd()

    async def story() -> None:
        in_a(crowd, broken_successor(crowd)).tell(answer(1), crowd.watching(SLICE + 1))
        await until_quiet(crowd)

    with caplog.at_level(logging.ERROR):
        run(story)
    assert sorted(crowd.woken) == list(range(SLICE + 1))
    assert "a fan-out broke" in caplog.text


def test_one_that_breaks_takes_nothing_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    crowd, way = Crowd(), leap(2)
    crowd.broken = {5}
    with caplog.at_level(logging.ERROR):
        led(crowd, 3 * SLICE, way)
    assert {number for number, _ in crowd.leapt} | set(crowd.woken) == set(range(3 * SLICE))
    assert crowd.arrived == [way]
    assert "5 is broken" in caplog.text


def test_closing_stops_it_where_it_is() -> None:
    crowd = Crowd()

    async def story() -> None:
        going = fan_outs(crowd, leap(2))
        going.tell(answer(1), crowd.watching(4 * SLICE))
        assert repr(going) == "<FanOuts 1 under way>"
        await turns(2)
        assert len(crowd.leapt) == SLICE
        await going.close()
        await until_quiet(crowd)
        assert repr(going) == "<FanOuts 0 under way>"

    run(story)
    assert len(crowd.leapt) == SLICE
