"""How many writes a second a live system sustains: rates one after the other, each for some seconds, until one is too fast.

A rate is sustained when no write failed and, of all writes, 99 in 100 were shown to everybody whom they concern, or something
newer in their place, within `LAG_S` of the moment they were due; and when, at the end, everybody had the newest. Writes are due
at a steady pace whether or not the last ones are done, so what queues up anywhere is lag. A rate that fails is tried twice more:
one hiccup of the machine is no verdict.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from statistics import quantiles

import msgspec

from tests.bench.crowd import NS_PER_S, Arrivals, Crowd, Group

STEP_S = 5.0
LAG_S = 1.0
SETTLE_S = 1.5
"""After the last write is acknowledged: whatever has not arrived by then is missing."""
QUIET_S = 1.0
TRIES = 3
NEVER = float("inf")

Turns = Iterator[int]


class Due(msgspec.Struct, frozen=True):
    """A write: its number, the document it is made to, and when it was due, on the monotonic clock in seconds."""

    turn: int
    picture: int
    at: float


class Rung(msgspec.Struct, frozen=True):
    """What came of one rate: the 99th percentile of the lag in seconds, and the share of all pushes that was not skipped."""

    rate: int
    lag_s: float
    shown: float

    @property
    def sustained(self) -> bool:
        """Was it kept up with?"""
        return self.lag_s <= LAG_S


class Way(msgspec.Struct, frozen=True):
    """One way to write to one system, and the crowd that is shown it."""

    name: str
    pid: int
    """The server."""
    crowd: Crowd
    audience: int
    """How many sockets of the crowd a write concerns."""
    write: Callable[[int, int], Awaitable[object]]
    """Make write number so-and-so to picture so-and-so; returns when it is acknowledged."""
    newest: Callable[[], Awaitable[dict[int, int]]]
    """By picture, the number of the write that is in the database."""
    turn_of: Callable[[int], int]
    """The number of the write that a message's mark says."""

    async def arrivals(self) -> tuple[Arrivals, dict[int, Group]]:
        """What has come since the last time, and when, by the write that it shows."""
        arrivals = await self.crowd.report()
        return arrivals, {self.turn_of(group.t0): group for group in arrivals.groups}


async def climb(way: Way, rates: Sequence[int], pictures: int, turns: Turns) -> list[Rung]:
    """Up to the first rate that is not sustained, which is the last of the list."""
    rungs: list[Rung] = []
    for rate in rates:
        for _ in range(TRIES):
            rung = await _step(way, rate, pictures, turns)
            if rung.sustained:
                break
            await _quiet(way)
        rungs.append(rung)
        if not rung.sustained:
            break
    return rungs


def best(rungs: Sequence[Rung]) -> Rung:
    """The fastest that was sustained, or nothing at all."""
    return max((each for each in rungs if each.sustained), key=lambda each: each.rate, default=Rung(0, NEVER, 0.0))


def lags(writes: Sequence[Due], shown: Mapping[int, Group], audience: int, newest: Mapping[int, int]) -> list[float]:
    """For each write, seconds from when it was due until its whole audience had it or something newer; infinite if never."""
    soonest: dict[int, float] = {}
    for picture, turn in newest.items():
        soonest[picture] = _whole(shown.get(turn), audience)
    found = []
    for write in reversed(writes):
        seen = min(soonest.get(write.picture, NEVER), _whole(shown.get(write.turn), audience))
        if soonest.get(write.picture) != NEVER:  # who has not the newest has not caught up with anything
            soonest[write.picture] = seen
            found.append(seen - write.at)
        else:
            found.append(NEVER)
    return found


def _whole(group: Group | None, audience: int) -> float:
    return group.last / NS_PER_S if group is not None and group.count == audience else NEVER


async def _step(way: Way, rate: int, pictures: int, turns: Turns) -> Rung:
    await way.arrivals()
    began, count = time.monotonic(), int(rate * STEP_S)
    writes, tasks = [], []
    for number in range(count):
        due = Due(next(turns), number % pictures, began + number / rate)
        await asyncio.sleep(due.at - time.monotonic())
        writes.append(due)
        tasks.append(asyncio.create_task(_acknowledged(way, due)))
    done = all(await asyncio.gather(*tasks))
    await asyncio.sleep(SETTLE_S)
    arrivals, groups = await way.arrivals()
    touched = {each.picture for each in writes}
    newest = {picture: turn for picture, turn in (await way.newest()).items() if picture in touched}
    took = lags(writes, groups, way.audience, newest) if done else [NEVER]
    worst = max(took)
    late = quantiles(took, n=100)[98] if worst < NEVER else NEVER
    return Rung(rate, late, arrivals.count / (count * way.audience))


async def _acknowledged(way: Way, due: Due) -> bool:
    try:
        await way.write(due.picture, due.turn)
    except (RuntimeError, TimeoutError):
        return False
    return True


async def _quiet(way: Way) -> None:
    """Wait until what a rate that was too fast has left behind is delivered."""
    left = True
    while left:
        await asyncio.sleep(QUIET_S)
        left = (await way.crowd.report()).count > 0
