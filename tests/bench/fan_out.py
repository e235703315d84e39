"""One change to an answer that thousands of sockets share: until the last of them has it, against a bare broadcast in C.

Run it with `python -m tests.bench.fan_out [sockets]`. The bare broadcast writes one finished frame of the same size to as many
sockets; our figure begins when the write to the database is sent, so the commit, its event and the query are in it. Meanwhile
somebody else's small pushes are timed: what the fan-out adds to them is the second table.
"""

from __future__ import annotations

import asyncio
import sys
import time
from statistics import median
from typing import Any

import msgspec
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from server.store.codec import encode
from tests.bench.crowd import Crowd, bare_broadcast, crowd
from tests.bench.product import Socket, percentile, product, run, signed_in
from tests.scenarios.stock import now, result_of

Images = AsyncCollection[dict[str, Any]]

SOCKETS = 10_000
ROUNDS, WARM_UP = 25, 5
QUIET_PUSHES = 300
BESIDE = "beside"
PICTURES = 9
"""So many pictures on the shared page make an answer of about 4 KB."""
PAUSE_S = 0.3
WATCH = (
    '{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,'
    '"udfPath":"images:getPublicGallery","args":[{"paginationOpts":{"numItems":%s,"cursor":null}}]}]}'
)


async def main(sockets: int = SOCKETS) -> None:
    """Measure and print two tables."""
    async with product() as running:
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(running.database_uri, w="majority")
        async with client:
            images, users = client.get_default_database()["images"], client.get_default_database()["users"]
            await images.insert_many([_picture(number) for number in range(PICTURES)])
            opening = [WATCH.replace("%s", str(PICTURES))]
            async with (
                signed_in(running, BESIDE) as beside,
                crowd(running.port, sockets, path="/api/sync", openings=opening, ready=1) as everybody,
            ):
                await beside.watch("users:getCurrentUserCredits", {})
                quiet = await _beside(users, beside)
                ours = await _ours(images, everybody)
                size = int((await everybody.report())["bytes"] / sockets / (ROUNDS + WARM_UP + 1))
                loud = await _loud(images, users, beside, everybody)
    floor = await _floor(sockets, size)
    print(f"\n{f'one change, {sockets:,} sockets, {size:,} bytes each':46} last p50 ms   p99 ms")
    for name, times in (("bare broadcast in C (floor)", floor), ("ours, from the write on", ours)):
        print(f"{name:46} {median(times):11.1f} {percentile(times, 99) / 1_000:8.1f}")
    print(f"{'ratio':46} {median(ours) / median(floor):10.2f}x")
    print(f"\n{'somebody else, pushed to meanwhile':46}      p50 ms   p99 ms")
    for name, seconds in (("without a fan-out (floor)", quiet), ("while fan-outs go on", loud)):
        print(f"{name:46} {percentile(seconds, 50):11.2f} {percentile(seconds, 99):8.2f}")


async def _ours(images: Images, everybody: Crowd) -> list[float]:
    """Milliseconds from sending the write to the last arrival."""
    took = []
    for number in range(ROUNDS + WARM_UP):
        began = time.monotonic() * 1_000
        await asyncio.gather(_change(images, number), last := asyncio.ensure_future(everybody.last()))
        took.append(last.result() - began)
        await asyncio.sleep(PAUSE_S)
    return took[WARM_UP:]


async def _loud(images: Images, users: Images, beside: Socket, everybody: Crowd) -> list[float]:
    """Pushes to one member while fan-outs to everybody go on, one after the other."""
    fan_outs = asyncio.create_task(_ours(images, everybody))
    took = await _beside(users, beside, fan_outs)
    await fan_outs
    return took


async def _beside(users: Images, beside: Socket, until: asyncio.Task[list[float]] | None = None) -> list[float]:
    """Seconds from a write to a member's balance to their having it; 300 times, or until the fan-outs are over."""
    took: list[float] = []
    start = int(time.monotonic() * 1_000)
    while (len(took) < QUIET_PUSHES) if until is None else not until.done():
        balance, began = start + len(took), time.monotonic()
        write = asyncio.create_task(users.update_one({"userId": BESIDE}, {"$set": {"credits": balance}}))
        while (await beside.value())["credits"] != balance:
            continue
        took.append(time.monotonic() - began)
        await write
    return took


async def _change(images: Images, number: int) -> None:
    await images.update_one({"userId": "bench"}, {"$set": {"placeholderBlurDataUrl": _placeholder(number)}})


async def _floor(sockets: int, size: int) -> list[float]:
    took = []
    async with bare_broadcast() as (port, server), crowd(port, sockets, path="/", openings=[], ready=0) as everybody:
        for _ in range(ROUNDS + WARM_UP):
            if server.stdin is None:
                raise RuntimeError("the bare server has no input")
            began = time.monotonic() * 1_000
            server.stdin.write(b"bcast %d\n" % size)
            took.append(await everybody.last() - began)
            await asyncio.sleep(PAUSE_S)
    return took[WARM_UP:]


def _picture(number: int) -> dict[str, Any]:
    image = result_of("bench", now(), is_featured=True, featured_at=float(number + 1))
    fields = encode(msgspec.structs.replace(image, placeholder_blur_data_url=_placeholder(number)))
    return {**fields, "_id": f"picture-{number}", "_creationTime": image.created_at}


def _placeholder(number: int) -> str:
    return f"data:image/webp;base64,{number:0120}"


if __name__ == "__main__":
    run(main(*map(int, sys.argv[1:])))
