"""What a socket with a live query of its own occupies in memory, against a bare socket of the same stack.

Run it with `python -m tests.bench.memory [sockets]`. Both servers are processes of their own; what they occupy is read before
the sockets come and once they have settled. A hundred sockets come and go first, so that code and pools are there already.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from pymongo import AsyncMongoClient

from tests.bench.bare import bare_server
from tests.bench.crowd import crowd
from tests.bench.owners import OWN, fill
from tests.bench.product import opening, product, resident_bytes, run
from tests.bench.result import Result

SOCKETS = 5_000
FIRST = 100
SETTLE_S = 8.0
"""Long enough for the server's own housekeeping to have come round."""


async def main(sockets: int = SOCKETS) -> list[Result]:
    """Measure and print one table."""
    async with bare_server() as bare:
        floor = await _per_socket(bare.port, bare.pid, sockets, (), 0)
    async with product() as running:
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(running.database_uri, w="majority")
        async with client:
            await fill(client.get_default_database()["images"], sockets)
        ours = await _per_socket(running.port, running.pid, sockets, [opening(OWN)], 1)
    print(f"{f'memory, {sockets:,} sockets':46}  KiB a socket   sockets a GiB")
    for name, size in (("bare socket, same stack (floor)", floor), ("socket with its own live query", ours)):
        print(f"{name:46} {size / 1024:13.1f} {2**30 / size:15,.0f}")
    print(f"{'ratio':46} {ours / floor:12.2f}x")
    return [
        Result(
            promise=f"memory of a socket with a live query of its own, of {sockets:,}",
            floor=f"{floor / 1024:.1f} KiB: a bare socket of the same stack",
            figure=f"{ours / 1024:.1f} KiB",
            seen=ours / floor,
            owed=2.5,
            aim=1.6,
        )
    ]


async def _per_socket(port: int, pid: int, sockets: int, openings: Sequence[str], ready: int) -> float:
    async with crowd(port, min(FIRST, sockets), openings=openings, ready=ready):
        pass
    await asyncio.sleep(SETTLE_S)
    before = resident_bytes(pid)
    async with crowd(port, sockets, openings=openings, ready=ready):
        await asyncio.sleep(SETTLE_S)
        return (resident_bytes(pid) - before) / sockets


if __name__ == "__main__":
    run(main(*map(int, sys.argv[1:])))
