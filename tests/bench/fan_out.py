"""One change to an answer that thousands of sockets share: until the last of them has it, against a bare broadcast in C.

Run it with `python -m tests.bench.fan_out [sockets]`. Both crowds are open at once and take turns, so that a noisy machine is
noisy for both; each sender has a core of its own, and clients and database share the other. The bare broadcast writes one
finished frame of the same size to as many sockets, timed from its first send; our figure begins when the write to the database is
sent, so the commit, its event and the query are in it. "Processor" is what the sending process spends on a message. Meanwhile
somebody else's small pushes are timed, in the second table: those under way while nobody is sent anything else, while the bare
server broadcasts, which is what sharing the processors costs them, and while ours does.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from server.store.codec import encode
from tests.bench.crowd import NS_PER_S, Arrivals, Crowd, bare_broadcast, crowd
from tests.bench.product import Socket, add_query, apart, opening, percentile, processor_s, product, run, signed_in
from tests.bench.result import Result, noise_of
from tests.scenarios.stock import now, result_of

Documents = AsyncCollection[dict[str, Any]]

SOCKETS = 10_000
ROUNDS, WARM_UP = 25, 5
QUIET_PUSHES = 300
BESIDE = "beside"
PICTURES = 9
"""So many pictures on the shared page make an answer of about 4 KB."""
CHANGED = "picture-0"
PAUSE_S = 0.2
"""Between two rounds, so that nothing of the last one is left to do."""
PAGE = add_query(0, "images:getPublicGallery", f'{{"paginationOpts":{{"numItems":{PICTURES},"cursor":null}}}}')


class Sender:
    """One of the two that are compared: its process, the crowd it sends to, and what makes it send to all of it."""

    def __init__(self, pid: int, crowd: Crowd, send: Callable[[], Awaitable[object]]) -> None:
        self._pid, self._crowd, self._send = pid, crowd, send
        self._spent = 0.0

    def __repr__(self) -> str:
        return f"<Sender to {self._crowd!r}>"

    async def round(self) -> None:
        """Send, and wait until the last socket has it."""
        before = processor_s(self._pid)
        await asyncio.gather(self._send(), self._crowd.last())
        self._spent += processor_s(self._pid) - before
        await asyncio.sleep(PAUSE_S)

    async def arrivals(self) -> tuple[Arrivals, float]:
        """What came of the rounds since the last time, and what a message cost the sender, in seconds."""
        arrivals, spent, self._spent = await self._crowd.report(), self._spent, 0.0
        if any(group.count != self._crowd.size for group in arrivals.groups):
            raise RuntimeError("not everybody was told of every change exactly once")
        return arrivals, spent / arrivals.count


async def main(sockets: int = SOCKETS) -> list[Result]:
    """Measure and print two tables."""
    apart()
    async with product() as running:
        apart(running.pid)
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(running.database_uri, w="majority")
        async with client:
            images, users = client.get_default_database()["images"], client.get_default_database()["users"]
            await images.insert_many([_picture(number) for number in range(PICTURES)])
            async with (
                signed_in(running, BESIDE) as beside,
                crowd(running.port, sockets, openings=[opening(PAGE)]) as everybody,
                bare_broadcast() as bare,
                crowd(bare.port, sockets, path="/", ready=0) as bystanders,
            ):
                apart(bare.pid)
                ours = Sender(running.pid, everybody, lambda: _change(images))
                size = await _warm_up(ours)
                floor = Sender(bare.pid, bystanders, lambda: bare.send(size))
                await _warm_up(floor)
                executed = await running.executions()
                for _ in range(ROUNDS):
                    await ours.round()
                    await floor.round()
                executed = await running.executions() - executed
                found = await floor.arrivals(), await ours.arrivals()
                await beside.watch("users:getCurrentUserCredits", {})
                quiet = [end - began for began, end in await _beside(users, beside)]
                busy = await _during(users, beside, floor, bystanders)
                loud = await _during(users, beside, ours, everybody)
    results = _print(sockets, size, found, executed)
    print(f"\n{'a push to somebody else':46}      p50 ms   p99 ms")
    for name, seconds in (("nothing else (floor)", quiet), ("a bare broadcast", busy), ("our fan-out", loud)):
        print(f"{f'beside {name}':46} {percentile(seconds, 50):11.2f} {percentile(seconds, 99):8.2f}")
    for name, less in (("added by the fan-out", quiet), ("of which not by sharing the processors", busy)):
        added = [percentile(loud, part) - percentile(less, part) for part in (50, 99)]
        print(f"{name:46} {added[0]:11.2f} {added[1]:8.2f}")
    alone, shared, all_of_it = (percentile(each, 99) for each in (quiet, busy, loud))
    beside_it = Result(
        promise="what that adds to somebody else's push, p99",
        floor=f"{alone:.1f} ms: nothing else; {shared:.1f} ms beside a bare broadcast",
        figure=f"{all_of_it:.1f} ms",
        seen=all_of_it - alone,
        owed=10.0,
        aim=3.0,
        unit="ms",
        noise=noise_of(quiet),
    )
    return [*results, beside_it]


def _print(sockets: int, size: int, found: tuple[tuple[Arrivals, float], ...], executed: int) -> list[Result]:
    rows = []
    print(f"{f'one change, {sockets:,} sockets, {size:,} bytes each':46} last p50 ms   p99 ms   processor us a message")
    for name, (arrivals, spent) in zip(("bare broadcast in C (floor)", "ours, from the write on"), found, strict=True):
        last = [group.last_s for group in arrivals.groups]
        rows.append((percentile(last, 50), percentile(last, 99), spent * 1e6))
        print(f"{name:46} {rows[-1][0]:11.1f} {rows[-1][1]:8.1f} {rows[-1][2]:24.1f}")
    floor, ours = rows
    print(f"{'ratio':46} {ours[0] / floor[0]:10.2f}x {ours[1] / floor[1]:7.2f}x {ours[2] / floor[2]:23.2f}x")
    print(f"queries executed for {ROUNDS} changes: {executed}")
    noise = noise_of([group.last_s for group in found[0][0].groups])
    return [
        Result(
            promise=f"one change to an answer that {sockets:,} sockets share, until the last has it, p50 ({size / 1_000:.1f} kB)",
            floor=f"{floor[0]:.0f} ms: one finished frame to each, in C",
            figure=f"{ours[0]:.0f} ms, from the write to the database on",
            seen=ours[0] / floor[0],
            owed=1.5,
            aim=1.15,
            noise=noise,
        ),
        Result(
            promise="processor of the server for each of these messages",
            floor=f"{floor[2]:.1f} us: in C",
            figure=f"{ours[2]:.1f} us",
            seen=ours[2] / floor[2],
        ),
        Result(
            promise=f"executions for {ROUNDS} changes to it",
            floor=f"{ROUNDS}: one for each",
            figure=f"{executed}",
            seen=executed / ROUNDS,
            owed=1.0,
        ),
    ]


async def _warm_up(sender: Sender) -> int:
    """How many bytes a message has."""
    for _ in range(WARM_UP):
        await sender.round()
    arrivals, _ = await sender.arrivals()
    return arrivals.payload // arrivals.count


async def _during(users: Documents, beside: Socket, sender: Sender, everybody: Crowd) -> list[float]:
    """Pushes to one member that were under way during a broadcast to everybody."""

    async def broadcasts() -> None:
        for _ in range(ROUNDS):
            await sender.round()

    task = asyncio.create_task(broadcasts())
    pushes = await _beside(users, beside, task)
    await task
    spans = [(group.t0 / NS_PER_S, group.last / NS_PER_S) for group in (await everybody.report()).groups]
    return [end - began for began, end in pushes if any(start < end and began < stop for start, stop in spans)]


async def _beside(
    users: Documents, beside: Socket, until: asyncio.Task[None] | None = None
) -> list[tuple[float, float]]:
    """From a write to a member's balance to their having it, on the monotonic clock; or until the fan-outs are over."""
    took: list[tuple[float, float]] = []
    start = int(time.monotonic() * 1_000)
    while (len(took) < QUIET_PUSHES) if until is None else not until.done():
        balance, began = start + len(took), time.monotonic()
        write = asyncio.create_task(users.update_one({"userId": BESIDE}, {"$set": {"credits": balance}}))
        while (await beside.value())["credits"] != balance:
            continue
        took.append((began, time.monotonic()))
        await write
    return took


async def _change(images: Documents) -> None:
    caused = f"data:image/webp;base64,t0={time.monotonic_ns():0120}"
    await images.update_one({"_id": CHANGED}, {"$set": {"placeholderBlurDataUrl": caused}})


def _picture(number: int) -> dict[str, Any]:
    image = result_of("bench", now(), is_featured=True, featured_at=float(number + 1))
    fields = encode(image) | {"placeholderBlurDataUrl": f"data:image/webp;base64,{number:0123}"}
    return {**fields, "_id": f"picture-{number}", "_creationTime": image.created_at}


if __name__ == "__main__":
    run(main(*map(int, sys.argv[1:])))
