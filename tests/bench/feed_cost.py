"""What a change costs where nobody is shown it: in each process that reads the change stream, and in mongod for each stream.

Run it with `python -m tests.bench.feed_cost`. Documents are written at two steady rates beside a web process without a socket.
The floor is a bare change stream of the same database in a process of its own, read by the driver's iterator and forgotten.
Then 1, 4 and 16 of our streams are open at the same rates, and mongod is looked at. What stands still costs something too: the
same time without writes is measured and taken off.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from server.store.mongo import MongoStore
from server.store.tail import Tail
from tests.bench.owners import fill
from tests.bench.product import processor_s, product, run
from tests.bench.result import Result
from tests.support.processes import mongod_below

Database = AsyncDatabase[dict[str, Any]]

PICTURES = 1_000
RATES = ((100, 1), (1_000, 20))
"""Changes a second, and how many of them one statement makes."""
SECONDS = 5.0
STREAMS = (1, 4, 16)
SETTLE_S = 1.0
TICKS = os.sysconf("SC_CLK_TCK")
FLOOR = "floor"


async def main() -> list[Result]:
    """Measure and print one table."""
    async with product() as running, AsyncMongoClient[dict[str, Any]](running.database_uri, w="majority") as client:
        database = client.get_default_database()
        await fill(database["images"], PICTURES)
        mongod = mongod_below(os.getpid())
        async with bare_reader(running.database_uri) as floor:
            watched: dict[str, Callable[[], float]] = {
                "a web process that shows nothing": lambda: processor_s(running.pid),
                "a bare change stream (floor)": lambda: processor_s(floor),
                "mongod, of all": lambda: whole_processor_s(mongod),
            }
            print(f"{'processor for each change':46} " + "".join(f"{rate:>9,}/s" for rate, _ in RATES))
            costs = [await _cost(database, list(watched.values()), *rate) for rate in RATES]
        for number, name in enumerate(watched):
            print(f"{name:46} " + "".join(f"{cost[number]:8.0f} us" for cost in costs))
        print(f"{'ratio':46} " + "".join(f"{cost[0] / cost[1]:9.2f}x " for cost in costs))
        store, found = MongoStore(client, database.name), []
        for count in STREAMS:
            async with streams(store, count):
                found.append([(await _cost(database, [lambda: whole_processor_s(mongod)], *rate))[0] for rate in RATES])
            print(f"{f'mongod, with {count} more streams':46} " + "".join(f"{spent:8.0f} us" for spent in found[-1]))
    more = STREAMS[-1] - STREAMS[0]
    each = [(many - few) / more for few, many in zip(found[0], found[-1], strict=True)]
    print(f"{'mongod, for each change and stream':46} " + "".join(f"{spent:8.0f} us" for spent in each))
    (ours, bare, _), rate = costs[0], RATES[0][0]
    return [
        Result(
            promise=f"processor for a change that nobody is shown, {rate} a second",
            floor=f"{bare:.0f} us: a bare change stream",
            figure=f"{ours:.0f} us; mongod {each[0]:.0f} us for each stream",
            seen=ours / bare,
        )
    ]


async def _cost(database: Database, watched: list[Callable[[], float]], rate: int, together: int) -> list[float]:
    """Microseconds a change that each of these spent, less what they spend in as much time without changes."""
    await _write(database, rate, together)  # also warms up
    before = [each() for each in watched]
    await asyncio.sleep(SECONDS + SETTLE_S)
    between = [each() for each in watched]
    changes = await _write(database, rate, together)
    after = [each() for each in watched]
    return [
        ((end - middle) - (middle - start)) / changes * 1e6
        for start, middle, end in zip(before, between, after, strict=True)
    ]


async def _write(database: Database, rate: int, together: int) -> int:
    """Change pictures at a steady rate, not waiting for any; how many changes that made."""
    turns, pause = int(rate * SECONDS / together), together / rate
    async with asyncio.TaskGroup() as group:
        began = time.monotonic()
        for turn in range(turns):
            await asyncio.sleep(began + turn * pause - time.monotonic())
            group.create_task(_change(database, turn * together, together))
    await asyncio.sleep(SETTLE_S)
    return turns * together


async def _change(database: Database, first: int, together: int) -> None:
    names = [f"picture-{(first + each) % PICTURES}" for each in range(together)]
    await database["images"].update_many({"_id": {"$in": names}}, {"$inc": {"originalWidth": 1}})


@asynccontextmanager
async def streams(store: MongoStore, count: int) -> AsyncIterator[None]:
    """Follow the database so many times."""
    start = await store.newest()
    tails = [Tail(store, start, deliver=lambda *_: None, lost=lambda _: None) for _ in range(count)]
    tasks = [asyncio.create_task(each.run()) for each in tails]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@asynccontextmanager
async def bare_reader(uri: str) -> AsyncIterator[int]:
    """A process that reads the bare stream of the database; its id."""
    reader = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.feed_cost", FLOOR, uri, stdout=asyncio.subprocess.PIPE
    )
    try:
        if reader.stdout is None or not await reader.stdout.readline():
            raise RuntimeError("the floor's reader did not start")
        yield reader.pid
    finally:
        reader.terminate()
        await reader.wait()


async def read_bare(uri: str) -> None:
    """What the floor's process does."""
    async with AsyncMongoClient[dict[str, Any]](uri) as client, await client.get_default_database().watch() as stream:
        sys.stdout.write("open\n")
        sys.stdout.flush()
        async for _ in stream:
            pass


def whole_processor_s(pid: int) -> float:
    """Seconds that all threads of a process have been running."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


if __name__ == "__main__":
    if sys.argv[1:2] == [FLOOR]:
        with asyncio.Runner() as runner:
            runner.run(read_bare(sys.argv[2]))
    else:
        run(main())
