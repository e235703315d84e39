"""From a job being written to a worker having claimed it, against the bare latency from a write to its event.

Run it with `python -m tests.bench.claim`. Both are read off one change stream: the job's insert, and the update that leases it.
The claim's figure therefore has a second write-to-event latency in it, which is what anybody who waits for the claim sees.
"""

from __future__ import annotations

from time import perf_counter, time
from typing import Any

from pymongo import AsyncMongoClient

from server.ids import capability_id, document_id
from tests.bench.product import Product, percentile, product, run
from tests.bench.result import Result, noise_of

JOBS = 200
WARM_UP = 20


async def main() -> list[Result]:
    """Measure and print."""
    async with product(command="dev") as running:
        events, claims = await _measure(running)
    print("\njob written to job claimed            p50 ms   p99 ms")
    for name, times in (("write to event (floor)", events), ("write to claim, seen as an event", claims)):
        print(f"{name:36}  {percentile(times, 50):7.2f}  {percentile(times, 99):7.2f}")
    floor, seen = percentile(events, 50), percentile(claims, 50)
    print(f"ratio                                 {seen / floor:6.2f}x")
    return [
        Result(
            promise="a job written, until a worker has claimed it, p50",
            floor=f"{floor:.1f} ms: write to bare event, of which the claim needs two",
            figure=f"{seen:.1f} ms",
            seen=seen / floor,
            owed=3.0,
            noise=noise_of(events),
        )
    ]


async def _measure(running: Product) -> tuple[list[float], list[float]]:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(running.database_uri, w="majority")
    async with client:
        jobs = client.get_default_database()["jobs"]
        events, claims = [], []
        async with await jobs.watch() as stream:
            for _ in range(JOBS + WARM_UP):
                job_id, now = document_id(time() * 1_000), time() * 1_000
                began = perf_counter()
                await jobs.insert_one(
                    {
                        "_id": job_id, "_creationTime": now, "kind": "erase_file", "subject": capability_id(),
                        "arguments": "{}", "state": "queued", "attempt": 0, "maxAttempts": 2, "dueAt": now,
                        "createdAt": now,
                    }
                )  # fmt: skip
                async for event in stream:
                    if event["documentKey"]["_id"] != job_id:
                        continue
                    if event["operationType"] == "insert":
                        events.append(perf_counter() - began)
                        continue
                    state = event["updateDescription"]["updatedFields"].get("state")
                    if state == "leased":
                        claims.append(perf_counter() - began)
                    elif state == "succeeded":
                        break
        return events[WARM_UP:], claims[WARM_UP:]


if __name__ == "__main__":
    run(main())
