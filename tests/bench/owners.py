"""A write that concerns one socket among thousands, each with a query of its own, against the bare event and one indexed read.

Run it with `python -m tests.bench.owners [sockets]`. Each socket shows one shared picture by its link; 100 times a second a
picture is written, each time another one, whether or not the last push has arrived. Our figure is from sending the write to the
socket having the new answer. The floor is a bare change stream and one read by id after each event, on the same mongod, one
write at a time, before and after. The same is done with a tenth of the sockets, for what many queries cost.
"""

from __future__ import annotations

import asyncio
import sys
import time
from random import Random
from typing import Any

import msgspec
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from server.store.codec import encode
from tests.bench.crowd import Arrivals, crowd
from tests.bench.product import Product, add_query, opening, percentile, processor_s, product, run
from tests.bench.result import Result, noise_of
from tests.scenarios.stock import now, original_of

Documents = AsyncCollection[dict[str, Any]]

SOCKETS = 10_000
FEWER = 10
WRITES_PER_S = 100
WRITES = 2_000
WARM_UP = 200
FLOOR_WRITES = 300
SETTLE_S = 2.0
"""After the last write: whatever has not arrived by then is missing."""
INSERTED_AT_A_TIME = 1_000
SEED = 11
OWN = add_query(0, "images:getImageById", '{"imageId":"picture-%d"}')


class Pushes(msgspec.Struct, frozen=True):
    """What the sockets got, and what a write cost the server, in seconds."""

    arrivals: Arrivals
    processor_s: float

    def latency_ms(self, part: str) -> float:
        """From the write to its owner."""
        return self.arrivals.latency_ms[part]


async def main(sockets: int = SOCKETS) -> list[Result]:
    """Measure and print one table."""
    async with product() as running:
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(running.database_uri, w="majority")
        async with client:
            images = client.get_default_database()["images"]
            await fill(images, sockets)
            floor = await _floor(images)
            few = await _owners(running, images, sockets // FEWER)
            many = await _owners(running, images, sockets)
            floor += await _floor(images)
    print(f"{f'one of many, {WRITES_PER_S} writes a second':46}      p50 ms   p99 ms   processor us a write")
    p50, p99 = percentile(floor, 50), percentile(floor, 99)
    print(f"{'bare event and one read by id (floor)':46} {p50:11.2f} {p99:8.2f}")
    for size, pushes in ((sockets // FEWER, few), (sockets, many)):
        name, spent = f"its owner has it, {size:,} sockets", pushes.processor_s * 1e6
        print(f"{name:46} {pushes.latency_ms('p50'):11.2f} {pushes.latency_ms('p99'):8.2f} {spent:22.0f}")
    ratios = many.latency_ms("p50") / p50, many.latency_ms("p99") / p99
    print(f"{'ratio':46} {ratios[0]:10.2f}x {ratios[1]:7.2f}x")
    growth = many.latency_ms("p50") / few.latency_ms("p50"), many.latency_ms("p99") / few.latency_ms("p99")
    print(f"{f'growth with {FEWER} times the queries':46} {growth[0]:10.2f}x {growth[1]:7.2f}x")
    found = [
        Result(
            promise=f"one of {sockets:,} live queries, {WRITES_PER_S} writes a second, until its owner has it, {part}",
            floor=f"{least:.1f} ms: the bare event and one read by id, one write at a time",
            figure=f"{many.latency_ms(part):.1f} ms",
            seen=ratio,
            owed=owed,
            aim=aim,
            noise=noise_of(floor),
        )
        for part, least, ratio, owed, aim in (("p50", p50, ratios[0], 2.5, 1.7), ("p99", p99, ratios[1], 4.0, 2.0))
    ]
    grown = Result(
        promise=f"growth of that with {FEWER} times the queries, p50",
        floor=f"{few.latency_ms('p50'):.1f} ms: {sockets // FEWER:,} queries",
        figure=f"{many.latency_ms('p50'):.1f} ms",
        seen=growth[0],
        owed=1.5,
        aim=1.2,
        noise=noise_of(floor),
    )
    return [*found, grown]


async def fill(images: Documents, pictures: int) -> None:
    """One shared picture for each socket."""
    for start in range(0, pictures, INSERTED_AT_A_TIME):
        await images.insert_many(
            [_picture(number) for number in range(start, min(start + INSERTED_AT_A_TIME, pictures))]
        )


async def _owners(running: Product, images: Documents, sockets: int) -> Pushes:
    numbers = list(range(sockets))
    Random(SEED).shuffle(numbers)
    async with crowd(running.port, sockets, openings=[opening(OWN)]) as everybody:
        await _write(images, numbers, WARM_UP)
        await everybody.report()
        spent = processor_s(running.pid)
        await _write(images, numbers, WRITES)
        spent = processor_s(running.pid) - spent
        arrivals = await everybody.report()
    if arrivals.count != WRITES or any(group.count != 1 for group in arrivals.groups):
        raise RuntimeError(f"{WRITES} writes made {arrivals.count} pushes")
    return Pushes(arrivals, spent / WRITES)


async def _write(images: Documents, numbers: list[int], writes: int) -> None:
    """One after the other at a steady pace, not waiting for any."""
    async with asyncio.TaskGroup() as group:
        began = time.monotonic()
        for turn in range(writes):
            await asyncio.sleep(began + turn / WRITES_PER_S - time.monotonic())
            group.create_task(_change(images, numbers[turn % len(numbers)]))
    await asyncio.sleep(SETTLE_S)


async def _change(images: Documents, number: int) -> None:
    caused = f"data:image/webp;base64,t0={time.monotonic_ns()}"
    await images.update_one({"_id": f"picture-{number}"}, {"$set": {"placeholderBlurDataUrl": caused}})


async def _floor(images: Documents) -> list[float]:
    took = []
    async with await images.watch() as stream:
        for number in range(FLOOR_WRITES):
            began = time.monotonic()
            write = asyncio.create_task(_change(images, number))
            event = await stream.next()
            await images.find_one({"_id": event["documentKey"]["_id"]})
            took.append(time.monotonic() - began)
            await write
    return took


def _picture(number: int) -> dict[str, Any]:
    image = original_of(f"owner{number}", now(), sharing_enabled=True)
    return {**encode(image), "_id": f"picture-{number}", "_creationTime": image.created_at}


if __name__ == "__main__":
    run(main(*map(int, sys.argv[1:])))
