"""From a write being sent to a subscribed client having the new answer, against a bare change stream seeing the same write.

Run it with `python -m tests.bench.commit_to_push`. The server is a process of its own, as in production; the writer, the bare
stream and the client share this one. The client waits for its new value, so query, encoding and socket are all in the figure.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.change_stream import AsyncChangeStream

from tests.bench.product import Product, Socket, percentile, product, run, signed_in
from tests.bench.result import Result, noise_of

WRITES = 400
WARM_UP = 50
SUBJECT = "bench"


async def main() -> list[Result]:
    """Measure and print one table."""
    async with product() as running:
        events, pushes = await _measure(running)
    print("\ncommit to push, one write at a time   p50 ms   p99 ms")
    for name, times in (("bare change stream (floor)", events), ("client has the new answer", pushes)):
        print(f"{name:36}  {percentile(times, 50):7.2f}  {percentile(times, 99):7.2f}")
    ratios = {part: percentile(pushes, part) / percentile(events, part) for part in (50, 99)}
    print("ratio                                 " + "  ".join(f"{ratio:6.2f}x" for ratio in ratios.values()))
    return [
        Result(
            promise=f"one write at a time, until a subscriber has the new answer, p{part}",
            floor=f"{percentile(events, part):.1f} ms: a bare change stream has the event",
            figure=f"{percentile(pushes, part):.1f} ms",
            seen=ratio,
            noise=noise_of(events),
        )
        for part, ratio in ratios.items()
    ]


async def _measure(running: Product) -> tuple[list[float], list[float]]:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(running.database_uri, w="majority")
    async with client, signed_in(running, SUBJECT) as socket:
        users = client.get_default_database()["users"]
        await socket.watch("users:getCurrentUserCredits", {})
        await _pushed(socket, 10)
        async with await users.watch() as stream:
            events, pushes = [], []
            for number in range(1, WRITES + WARM_UP + 1):
                began = perf_counter()
                write = asyncio.create_task(users.update_one({"userId": SUBJECT}, {"$set": {"credits": number}}))
                event = asyncio.create_task(_event(stream, began))
                pushes.append(await _pushed(socket, number) - began)
                events.append(await event)
                await write
            return events[WARM_UP:], pushes[WARM_UP:]


async def _event(stream: AsyncChangeStream[dict[str, Any]], began: float) -> float:
    await stream.next()
    return perf_counter() - began


async def _pushed(socket: Socket, balance: int) -> float:
    """When the transition with this balance has arrived."""
    while (await socket.value())["credits"] != balance:
        continue
    return perf_counter()


if __name__ == "__main__":
    run(main())
