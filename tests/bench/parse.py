"""Beside Parse Server LiveQuery: one picture that a thousand clients have open, and a thousand that one client each has open.

Run it with `python -m tests.bench.parse [sockets]`. It needs Node.js 20 and the npm registry, once; without them it says so and
is left out. Both servers run on the same mongod, each alone on its core while it is measured; database, writer and the C load
client share the other. What is written, and what a write includes on either side, says `sharing`. "Ours" is an owner's mutation
over HTTP, as Parse's write is a REST call; a third column has plain updates of the same document in MongoDB, which our
subscribers see and Parse's would not. Latency is from before the write is sent to its arrival at the last client, one write at a
time, the three taking turns. What "sustained" means says `ladder`. Parse sends the document as it is and as it was; we send the
query's answer.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from tests.bench.crowd import NS_PER_S
from tests.bench.ladder import Rung, Way, best, climb
from tests.bench.product import apart, percentile, processor_s, product, run
from tests.bench.result import Result, noise_of
from tests.bench.sharing import PEERS, Parse, Shared, name, parse_server, shared_in_product, turn_of
from tests.wire.node import NodeUnavailable, ready_node

SOCKETS = 1_000
ROUNDS, WARM_UP = 40, 10
PAUSE_S = 0.2
"""Between a write and the next, or between looking whether all of it has arrived."""
ARRIVAL_S = 30.0
TO_ALL = (5, 10, 20, 35, 50, 75, 100, 150, 200, 300)
TO_ONE = (10, 20, 30, 40, 50, 75, 100, 200, 300, 400, 600, 800, 1_000)


class LeftOut(Exception):
    """Nothing was measured; the text says why."""


class Found(msgspec.Struct, frozen=True):
    """What one way of writing achieved, in one of the two arrangements."""

    latencies: list[float]
    processor_s: float
    """Of the server, for one write, one at a time: on a busy machine it says more than the clock."""
    bytes_a_message: float
    rungs: list[Rung]

    @property
    def sustained(self) -> Rung:
        """The fastest rate."""
        return best(self.rungs)


async def main(sockets: int = SOCKETS) -> list[Result]:
    """Measure and print one table. Raises `LeftOut` where Parse Server cannot be installed."""
    try:
        node = await ready_node(PEERS)
    except NodeUnavailable as error:
        reason = str(error).splitlines()[0].rstrip(":.")
        raise LeftOut(f"Parse Server is left out, because it cannot be installed here: {reason}.") from error
    apart()
    turns = itertools.count(1)
    async with (
        product() as running,
        shared_in_product(running, sockets) as ours,
        parse_server(node, running, sockets) as theirs,
    ):
        apart(running.pid)
        apart(theirs.pid)
        async with _ways(theirs, ours, sockets, name(0), audience=sockets) as ways:
            to_all = await _measure(ways, TO_ALL, 1, turns)
        async with _ways(theirs, ours, sockets, "picture-%d", audience=1) as ways:
            to_one = await _measure(ways, TO_ONE, sockets, turns)
    _print(sockets, to_all, to_one)
    return [*_results(f"all {sockets:,} watch one picture", to_all), *_results("each watches its own", to_one)]


@asynccontextmanager
async def _ways(theirs: Parse, ours: Shared, sockets: int, picture: str, *, audience: int) -> AsyncIterator[list[Way]]:
    async with theirs.crowd(sockets, picture) as their_crowd, ours.crowd(sockets, picture) as our_crowd:
        yield [
            Way("Parse", theirs.pid, their_crowd, audience, theirs.write, theirs.newest, turn_of),
            Way("ours", ours.product.pid, our_crowd, audience, ours.write, ours.newest, turn_of),
            Way("MongoDB", ours.product.pid, our_crowd, audience, ours.update, ours.newest, turn_of),
        ]


async def _measure(ways: list[Way], rates: Sequence[int], pictures: int, turns: Iterator[int]) -> list[Found]:
    took: list[list[float]] = [[] for _ in ways]
    spent, sizes = [0.0 for _ in ways], [0.0 for _ in ways]
    for number in range(WARM_UP + ROUNDS):
        for each, way in enumerate(ways):
            before = processor_s(way.pid)
            arrived, sizes[each] = await _one(way, number % pictures, next(turns))
            if number >= WARM_UP:
                took[each].append(arrived)
                spent[each] += processor_s(way.pid) - before
    return [
        Found(latencies, seconds / ROUNDS, size, await climb(way, rates, pictures, turns))
        for way, latencies, seconds, size in zip(ways, took, spent, sizes, strict=True)
    ]


async def _one(way: Way, picture: int, turn: int) -> tuple[float, float]:
    """Seconds from before a write to its arrival at the last who are concerned, and the bytes of a message."""
    began, count, last = time.monotonic(), 0, 0.0
    await way.write(picture, turn)
    while count < way.audience:
        await asyncio.sleep(PAUSE_S)
        arrivals, shown = await way.arrivals()
        if set(shown) - {turn}:
            raise RuntimeError(f"{way.name} sent something else than the write that was made")
        count, last = count + arrivals.count, max([last, *(group.last / NS_PER_S for group in shown.values())])
        if time.monotonic() > began + ARRIVAL_S:
            raise RuntimeError(f"{way.name}: {count} of {way.audience} were told of write {turn} in {ARRIVAL_S:.0f} s")
    if count > way.audience:
        raise RuntimeError(f"{way.name}: {count} messages for a write that concerns {way.audience}")
    return last - began, arrivals.payload / max(1, arrivals.count)


def _results(title: str, found: list[Found]) -> list[Result]:
    """How many times better than Parse Server: the time until the last has it, and what a write costs the server."""
    theirs, *ours = found
    rows = []
    for way, each in zip(("a mutation", "a write to MongoDB"), ours, strict=True):
        took, less = percentile(theirs.latencies, 50), percentile(each.latencies, 50)
        rows.append(
            Result(
                promise=f"{title}, by {way}: until the last has it, p50",
                floor=f"{took:.1f} ms: Parse Server",
                figure=f"{less:.1f} ms",
                seen=took / less,
                more_is_better=True,
                noise=noise_of(theirs.latencies),
            )
        )
        rows.append(
            Result(
                promise=f"{title}, by {way}: processor of the server",
                floor=f"{theirs.processor_s * 1e3:.1f} ms: Parse Server",
                figure=f"{each.processor_s * 1e3:.1f} ms",
                seen=theirs.processor_s / each.processor_s,
                more_is_better=True,
            )
        )
        rows.append(
            Result(
                promise=f"{title}, by {way}: writes a second sustained",
                floor=f"{theirs.sustained.rate}: Parse Server",
                figure=f"{each.sustained.rate}",
                seen=each.sustained.rate / max(1, theirs.sustained.rate),
                more_is_better=True,
            )
        )
    return rows


def _print(sockets: int, to_all: list[Found], to_one: list[Found]) -> None:
    print(f"{f'{sockets:,} clients':44} {'Parse':>9} {'ours':>9}   ratio  {'MongoDB':>9}   ratio")
    for title, found in (("all watch one picture", to_all), ("each watches its own", to_one)):
        _row(f"{title}: p50 ms", found, lambda each: percentile(each.latencies, 50), less=True)
        _row(f"{title}: p99 ms", found, lambda each: percentile(each.latencies, 99), less=True)
        _row(f"{title}: processor ms a write", found, lambda each: each.processor_s * 1_000, less=True)
        _row(f"{title}: writes/s sustained", found, lambda each: each.sustained.rate, less=False)
        _row(f"{title}: of them shown, %", found, lambda each: each.sustained.shown * 100, less=None)
        _row(f"{title}: lag p99 there, ms", found, lambda each: each.sustained.lag_s * 1_000, less=None)
        _row(f"{title}: next rate, which failed", found, lambda each: each.rungs[-1].rate, less=None)
        _row(f"{title}: bytes a message", found, lambda each: each.bytes_a_message, less=None)


def _row(title: str, found: list[Found], value: Callable[[Found], float], *, less: bool | None) -> None:
    """One line; its ratios say how many times better than Parse, where `less` or more is."""
    theirs, *rest = (value(each) for each in found)
    cells = [f"{theirs:9.1f}"]
    for each in rest:
        better, worse = (theirs, each) if less else (each, theirs)
        ratio = "" if less is None or not worse else f"{better / worse:6.1f}x"
        cells.append(f"{each:9.1f} {ratio:7}")
    print(f"{title:44} {'  '.join(cells)}")


if __name__ == "__main__":
    run(main(*map(int, sys.argv[1:])))
