"""One wall shown by three web processes: what a change costs them together, with a Redis between them and without.

Run it with `python -m tests.bench.fleet`. Two fleets are open at once, each on a database of its own in one mongod, and take
turns, so that a noisy machine is noisy for both. Latency is from the write being sent to each of three sockets, one at each
process, having the new page; executions are what the three processes count together, and "processor" is what their main threads
spend on a change. At the end Redis is frozen: the first change after that is as late as it can make anybody.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

import msgspec
from pymongo import AsyncMongoClient
from websockets.asyncio.client import ClientConnection, connect

from server.store.codec import encode
from server.store.embedded import EmbeddedMongod
from tests.bench.product import Product, add_query, opening, percentile, processor_s, run
from tests.bench.result import Result, noise_of
from tests.scenarios.stock import now, result_of
from tests.support.redis import redis_server
from tests.support.world import free_port, fresh_database

PROCESSES = 3
ROUNDS, WARM_UP = 6, 10
CHANGES = 50
FROZEN_CHANGES = 20
PAGES = (9, 100)
"""Pictures on the wall: an answer of 4 KB, and one of 45."""
DEADLINE_S = 60.0


class Seen(msgspec.Struct):
    """What came of the changes of one fleet."""

    latencies: list[float] = msgspec.field(default_factory=list)
    executions: int = 0
    processor_s: float = 0.0
    changes: int = 0


class Fleet:
    """Web processes on one database, and a socket at each that shows the wall."""

    def __init__(self, processes: list[Product], lines: list[ClientConnection], images: Any) -> None:
        self._processes, self._lines, self._images = processes, lines, images
        self._number = 0

    def __repr__(self) -> str:
        return f"<Fleet of {len(self._processes)}, {self._number} changes>"

    async def change(self) -> list[float]:
        """Change one picture; how long each socket waited for it, in seconds."""
        self._number += 1
        mark = f"data:,number{self._number};"
        began = perf_counter()
        write = asyncio.create_task(
            self._images.update_one({"_id": "picture-0"}, {"$set": {"placeholderBlurDataUrl": mark}})
        )
        ends = await asyncio.gather(*(_shows(line, mark) for line in self._lines))
        await write
        return [end - began for end in ends]

    async def round(self, seen: Seen) -> None:
        """Some changes, one after the other."""
        before, spent = await self._executions(), self._spent()
        for _ in range(CHANGES):
            seen.latencies += await self.change()
        seen.executions += await self._executions() - before
        seen.processor_s += self._spent() - spent
        seen.changes += CHANGES

    async def _executions(self) -> int:
        return sum(await asyncio.gather(*(each.executions() for each in self._processes)))

    def _spent(self) -> float:
        return sum(processor_s(each.pid) for each in self._processes)


async def _shows(line: ClientConnection, mark: str) -> float:
    async with asyncio.timeout(DEADLINE_S):
        while mark not in str(await line.recv()):
            continue
    return perf_counter()


async def main() -> list[Result]:
    """Measure and print one table for each size."""
    results = []
    for pictures in PAGES:
        with tempfile.TemporaryDirectory(prefix="anime-fleet-", ignore_cleanup_errors=True) as folder:
            async with (
                EmbeddedMongod(Path(folder) / "db") as mongod,
                redis_server(Path(folder)) as redis,
                _fleet(mongod.uri, Path(folder) / "alone", pictures) as alone,
                _fleet(mongod.uri, Path(folder) / "shared", pictures, REDIS_URL=redis.url) as shared,
            ):
                found = Seen(), Seen()
                for _ in range(WARM_UP):
                    await alone.change()
                    await shared.change()
                for _ in range(ROUNDS):
                    await alone.round(found[0])
                    await shared.round(found[1])
                redis.freeze()
                late = [max(await shared.change()) for _ in range(FROZEN_CHANGES)]
        results += _print(pictures, *found, late)
    return results


def _print(pictures: int, alone: Seen, shared: Seen, late: list[float]) -> list[Result]:
    head = f"one change, {PROCESSES} processes, {pictures} pictures"
    print(f"\n{head:42} p50 ms   p99 ms   executions   processor ms")
    rows = []
    for name, seen in (("each for itself (floor)", alone), ("with a Redis", shared)):
        p50, p99 = (percentile(seen.latencies, part) for part in (50, 99))
        rows.append((p50, p99, seen.executions / seen.changes, seen.processor_s / seen.changes * 1_000))
        print(f"{name:42} {p50:6.2f} {p99:8.2f} {rows[-1][2]:12.2f} {rows[-1][3]:14.2f}")
    ratios = [ours / floor for floor, ours in zip(*rows, strict=True)]
    print(f"{'ratio':42} {ratios[0]:5.2f}x {ratios[1]:7.2f}x {ratios[2]:11.2f}x {ratios[3]:13.2f}x")
    rest = sorted(late[1:])[len(late) // 2] * 1_000
    print(
        f"Redis freezes: the next change is there after {late[0] * 1_000:.0f} ms, those that follow after {rest:.1f} (p50)"
    )
    floor, ours = rows
    return [
        Result(
            promise=f"one change, {PROCESSES} processes with a Redis, {pictures} pictures, until everybody has it, p50",
            floor=f"{floor[0]:.1f} ms: each process for itself",
            figure=f"{ours[0]:.1f} ms",
            seen=ratios[0],
            noise=noise_of(alone.latencies),
        ),
        Result(
            promise=f"the same, {pictures} pictures: processor of the {PROCESSES} processes",
            floor=f"{floor[3]:.1f} ms: each process for itself",
            figure=f"{ours[3]:.1f} ms",
            seen=ratios[3],
        ),
    ]


@asynccontextmanager
async def _fleet(mongod_uri: str, folder: Path, pictures: int, **variables: str) -> AsyncIterator[Fleet]:
    """Start the processes one after the other: the first makes tables and keys."""
    uri = fresh_database(mongod_uri)
    folder.mkdir()  # noqa: ASYNC240  # before anything is measured
    env = {**os.environ, "MONGODB_URI": uri, "DATA_DIR": str(folder), "APP_ENV": "development", "LOG_LEVEL": "error"}
    env |= {"PUBLIC_URL": "http://anime.bench", **variables}
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(AsyncMongoClient[dict[str, Any]](uri, w="majority"))
        processes = [await stack.enter_async_context(_web(uri, env)) for _ in range(PROCESSES)]
        images = client.get_default_database()["images"]
        await images.insert_many([_picture(number) for number in range(pictures)])
        wall = opening(
            add_query(0, "images:getPublicGallery", f'{{"paginationOpts":{{"numItems":{pictures},"cursor":null}}}}')
        )
        lines = []
        for each in processes:
            address = f"{each.url.replace('http', 'ws', 1)}/api/sync"
            line = await stack.enter_async_context(connect(address, compression=None, max_size=None))
            session = f'"sessionId":"{uuid4()}","connectionCount":0,"lastCloseReason":"InitialConnect"'
            await line.send(f'{{"type":"Connect",{session}}}')
            await line.send(wall)
            await _shows(line, f'"_id":"picture-{pictures - 1}"')
            lines.append(line)
        yield Fleet(processes, lines, images)


@asynccontextmanager
async def _web(uri: str, env: dict[str, str]) -> AsyncIterator[Product]:
    port = free_port()
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server", "web", env={**env, "PORT": str(port)}, stdout=asyncio.subprocess.PIPE
    )
    try:
        if server.stdout is None or not await server.stdout.readline():
            raise RuntimeError("a server did not start")
        yield Product(f"http://127.0.0.1:{port}", uri, port, server.pid)
    finally:
        server.terminate()
        await server.wait()


def _picture(number: int) -> dict[str, Any]:
    image = result_of("bench", now(), is_featured=True, featured_at=float(number + 1))
    fields = encode(image) | {"placeholderBlurDataUrl": f"data:image/webp;base64,{number:0123}"}
    return {**fields, "_id": f"picture-{number}", "_creationTime": image.created_at}


if __name__ == "__main__":
    run(main())
