"""Thousands of clients with three queries each come back all at once: how many queries that runs, and how long it takes.

Run it with `python -m tests.bench.reconnect [clients]`. Each connection is reset and opened again, as when a network goes away
and returns; the time is until the last client has its first transition. Clients show three answers that all of them share, then
two of those and one of their own; the first time the server has none of the answers, the second time it has seen them all, and
owes at most one run for each that was let go of meanwhile. Others write all the time, which moves the position and concerns none
of the answers. The floor is a bare server of the same stack that sends a
finished message to each.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from tests.bench.bare import bare_server
from tests.bench.crowd import crowd
from tests.bench.owners import OWN, fill
from tests.bench.product import Product, add_query, opening, processor_s, product, run
from tests.bench.result import Result

CLIENTS = 5_000
AT_ONCE = 2_000
"""Handshakes under way at a time: more than a server gets through in a second."""
MOST_RUNS = 1.01
"""For each answer: a handful of thousands may be run twice, where one was let go of meanwhile."""
PAUSE_S = 0.02
"""Between two writes of others."""


def shared(query_id: int) -> str:
    """A page that everybody shows; each `query_id` asks for a page of another size."""
    arguments = f'{{"paginationOpts":{{"numItems":{query_id + 8},"cursor":null}}}}'
    return add_query(query_id, "images:getPublicGallery", arguments)


SAME = opening(shared(1), shared(2), shared(3))
MIXED = opening(shared(4), shared(5), OWN)


async def main(clients: int = CLIENTS) -> list[Result]:
    """Measure and print one table."""
    async with bare_server() as bare, crowd(bare.port, clients, openings=[SAME], burst=AT_ONCE) as everybody:
        first = everybody.opened_in
        again = await everybody.reopen()
    async with product() as running:
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(running.database_uri, w="majority")
        async with client:
            database = client.get_default_database()
            await fill(database["images"], clients + 1)
            others = asyncio.create_task(_write(database["images"], clients))
            print(
                f"{f'{clients:,} clients, three queries each':46}  answers   executed   last has it s    ratio   processor s"
            )
            print(f"{'bare server, one message each (floor)':46} {'':8} {'':10} {again:15.2f}")
            print(f"{'the same, when it has just started (floor)':46} {'':8} {'':10} {first:15.2f}")
            results = await _storm(running, "three that all share", SAME, clients, 3, (first, again))
            results += await _storm(
                running, "two that all share, one of their own", MIXED, clients, 2 + clients, (again, again)
            )
            others.cancel()
    return results


async def _write(images: AsyncCollection[dict[str, Any]], number: int) -> None:
    """To a picture that nobody shows."""
    while True:
        await images.update_one({"_id": f"picture-{number}"}, {"$inc": {"generationAttempts": 1}})
        await asyncio.sleep(PAUSE_S)


async def _storm(
    running: Product, name: str, asked: str, clients: int, answers: int, floors: tuple[float, float]
) -> list[Result]:
    before, spent = await running.executions(), processor_s(running.pid)
    async with crowd(running.port, clients, openings=[asked], burst=AT_ONCE) as everybody:
        between, spent_first = await running.executions(), processor_s(running.pid)
        again = await everybody.reopen()
        after, spent_again = await running.executions(), processor_s(running.pid)
    rows = (
        (f"{name}: first", everybody.opened_in, between - before, spent_first - spent),
        (f"{name}: again", again, after - between, spent_again - spent_first),
    )
    for (row, seconds, executed, processor), floor in zip(rows, floors, strict=True):
        print(f"{row:46} {answers:8,} {executed:10,} {seconds:15.2f} {seconds / floor:7.2f}x {processor:13.2f}")
    return [
        Result(
            promise=f"{clients:,} clients come back at once, {row}: executions",
            floor=f"{answers:,}: one for each answer; {floor:.1f} s: a bare server, one message each",
            figure=f"{executed:,}; the last has it after {seconds:.1f} s, {seconds / floor:.2f}x",
            seen=executed / answers,
            owed=MOST_RUNS,
        )
        for (row, seconds, executed, _), floor in zip(rows, floors, strict=True)
    ]


if __name__ == "__main__":
    run(main(*map(int, sys.argv[1:])))
