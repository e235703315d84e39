"""Upload-and-schedule mutations through the whole path, against the bare driver doing the same transaction on the same mongod.

Run it with `python -m tests.bench.mutations`. The floor sends the statements of the product's transaction but for the receipt,
from one process, with nothing around them; the product's figure has the receipt, sockets, validation, the feed and the confirming
transition in it, and shares the machine with the client that drives it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from statistics import fmean
from time import perf_counter, time
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from server.ids import capability_id, document_id
from tests.bench.product import Product, percentile, product, run, signed_in
from tests.bench.result import Result, noise_of

MEMBERS = 32
EACH = 25
RACERS = 8
RACES = 14
RACED_FOR = 8
"""So many members one after the other, as each may only do so much a minute, and 112 calls have no 99th percentile."""

Client = AsyncMongoClient[dict[str, Any]]
Times = list[float]


async def main() -> list[Result]:
    """Measure and print."""
    async with product() as running:
        client: Client = AsyncMongoClient(running.database_uri, w="majority", maxPoolSize=64)
        async with client:
            bare = Bare(client)
            await bare.prepare(MEMBERS)
            floor = await rate(MEMBERS, EACH, bare.schedule)
            ours = await through(running, client, [f"member{number}" for number in range(MEMBERS)], EACH)
            alone = await rate(1, RACED_FOR * RACERS * RACES, bare.schedule)
            in_line = await rate(RACERS, RACED_FOR * RACES, bare.in_line)
            races = [await through(running, client, [f"racer{n}"] * RACERS, RACES) for n in range(RACED_FOR)]
            racing = fmean(measured[0] for measured in races), [each for measured in races for each in measured[1]]
    print("\nupload-and-schedule                       rate/s   p50 ms   p99 ms")
    row("bare transaction, 32 at a time (floor)", floor)
    row("through the whole path, 32 members", ours)
    print(
        f"{'ratio':38}  {ours[0] / floor[0]:8.2f}x          {percentile(ours[1], 99) / percentile(floor[1], 99):7.2f}x"
    )
    row("bare transaction, one at a time (floor)", alone)
    row("the same, 8 in line for their turn (floor)", in_line)
    row("8 racing for one member", racing)
    print(
        f"{'ratio':38}  {racing[0] / alone[0]:8.2f}x          {percentile(racing[1], 99) / percentile(in_line[1], 99):7.2f}x"
    )
    late, floor_late, race_late = (percentile(each[1], 99) for each in (ours, floor, racing))
    return [
        Result(
            promise=f"upload-and-schedule through sockets, {MEMBERS} members: rate",
            floor=f"{floor[0]:.0f} a second: the same statements by the bare driver, without the receipt",
            figure=f"{ours[0]:.0f} a second",
            seen=ours[0] / floor[0],
            owed=0.6,
            aim=0.85,
            more_is_better=True,
            noise=noise_of(floor[1]),
        ),
        Result(
            promise="the same: how long one takes, p99",
            floor=f"{floor_late:.1f} ms: by the bare driver",
            figure=f"{late:.1f} ms",
            seen=late / floor_late,
            owed=2.0,
            noise=noise_of(floor[1]),
        ),
        Result(
            promise=f"the same, {RACERS} racing for one member: rate",
            floor=f"{alone[0]:.0f} a second: by the bare driver, one at a time",
            figure=f"{racing[0]:.0f} a second",
            seen=racing[0] / alone[0],
            owed=0.6,
            aim=0.9,
            more_is_better=True,
            noise=noise_of(alone[1]),
        ),
        Result(
            promise="the same: how long one takes, p99",
            floor=f"{percentile(in_line[1], 99):.1f} ms: {RACERS} in line for the bare driver, one at a time",
            figure=f"{race_late:.1f} ms",
            seen=race_late,
            owed=60.0,
            unit="ms",
            noise=noise_of(in_line[1]),
        ),
    ]


async def rate(workers: int, each: int, act: Callable[[int], Awaitable[None]]) -> tuple[float, Times]:
    """How many a second, and how long each took."""
    times: Times = []

    async def worker(number: int) -> None:
        for _ in range(each):
            began = perf_counter()
            await act(number)
            times.append(perf_counter() - began)

    began = perf_counter()
    await asyncio.gather(*(worker(number) for number in range(workers)))
    return workers * each / (perf_counter() - began), times


async def through(running: Product, client: Client, members: list[str], each: int) -> tuple[float, Times]:
    """The same through sockets, one for each of `members`, who may be one person several times."""
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(signed_in(running, subject)) for subject in members]
        await give(client, set(members), len(members) * each)
        uploads = [[await upload(client, subject) for _ in range(each)] for subject in members]

        async def act(number: int) -> None:
            storage_id = uploads[number].pop()
            reply = await sockets[number].mutate("images:uploadAndScheduleGeneration", {"storageId": storage_id})
            if not reply["success"]:
                raise RuntimeError(reply["result"])

        return await rate(len(members), each, act)


async def give(client: Client, members: set[str], credits: int) -> None:  # noqa: A002
    """Enough credits for the run; the ledger is not what is measured here."""
    database = client.get_default_database()
    await database["users"].update_many({"userId": {"$in": sorted(members)}}, {"$set": {"credits": credits}})


async def upload(client: Client, owner: str) -> str:
    """The row of an upload: the bytes are not what is measured here."""
    blob_id, now = capability_id(), time() * 1_000
    await client.get_default_database()["_storage"].insert_one(
        {
            "_id": blob_id, "_creationTime": now, "kind": "upload", "owner": owner, "contentType": "image/jpeg",
            "size": 100_000, "sha256": "0" * 64, "width": 1_600, "height": 1_200, "placeholder": "x" * 172,
            "uploadedSize": 2_000_000, "uploadedContentType": "image/jpeg", "createdAt": now, "grant": blob_id,
        }
    )  # fmt: skip
    return blob_id


class Bare:
    """The product's transaction, statement by statement, and nothing else."""

    def __init__(self, client: Client) -> None:
        self._client, self._database = client, client.get_default_database()
        self._uploads: list[list[str]] = []
        self._turn = asyncio.Lock()

    async def prepare(self, members: int) -> None:
        """Members with credits and uploads."""
        now = time() * 1_000
        for number in range(members):
            user = {"_id": f"bare{number}", "_creationTime": now, "userId": f"bare{number}", "credits": 100_000}
            await self._database["users"].insert_one({**user, "createdAt": now, "updatedAt": now})
        count = EACH + 2 * RACED_FOR * RACERS * RACES
        self._uploads = [
            [await upload(self._client, f"bare{number}") for _ in range(count if number == 0 else EACH)]
            for number in range(members)
        ]

    async def in_line(self, _: int) -> None:
        """One of them for the first member, after all who came before."""
        async with self._turn:
            await self.schedule(0)

    async def schedule(self, number: int) -> None:
        """One of them."""
        db, owner, now = self._database, f"bare{number}", time() * 1_000
        blob_id, image_id, job_id = self._uploads[number].pop(), document_id(now), document_id(now)
        async with (
            self._client.start_session() as session,
            await session.start_transaction(
                read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority")
            ),
        ):
            user = await db["users"].find_one({"userId": owner}, session=session)
            blob = await db["_storage"].find_one({"_id": blob_id}, session=session)
            if user is None or blob is None:
                raise RuntimeError("not prepared")
            balance = user["credits"] - 1
            await db["_storage"].update_one({"_id": blob_id}, {"$set": {"claimedAt": now}}, session=session)
            await db["images"].insert_one(
                {
                    "_id": image_id, "_creationTime": now, "body": blob_id, "userId": owner, "createdAt": now,
                    "isGenerated": False, "contentType": "image/jpeg", "originalWidth": 1_600,
                    "originalHeight": 1_200, "originalSizeBytes": 2_000_000, "isFeatured": False,
                    "placeholderBlurDataUrl": blob["placeholder"], "generationStatus": "pending",
                    "generationAttempts": 0, "isDisabledByAdmin": False,
                },
                session=session,
            )  # fmt: skip
            await db["jobs"].insert_one(
                {
                    "_id": job_id, "_creationTime": now, "kind": "bare", "subject": image_id, "arguments": "{}",
                    "state": "queued", "attempt": 0, "maxAttempts": 2, "dueAt": now, "createdAt": now, "owner": owner,
                },
                session=session,
            )  # fmt: skip
            await db["ledger"].insert_one(
                {
                    "_id": document_id(now), "_creationTime": now, "userId": owner, "kind": "spend", "amount": -1,
                    "balanceAfter": balance, "key": f"generation:{job_id}", "createdAt": now, "imageId": image_id,
                },
                session=session,
            )  # fmt: skip
            await db["users"].update_one(
                {"_id": user["_id"]}, {"$set": {"credits": balance, "updatedAt": now}}, session=session
            )


def row(name: str, measured: tuple[float, Times]) -> None:
    """One line."""
    print(f"{name:40}  {measured[0]:6.0f}  {percentile(measured[1], 50):7.1f}  {percentile(measured[1], 99):7.1f}")


if __name__ == "__main__":
    run(main())
