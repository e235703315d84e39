"""From a write being sent to a subscribed client having the new answer, against a bare change stream seeing the same write.

Run it with `python -m tests.bench.commit_to_push`. The server is a process of its own, as in production; the writer, the bare
stream and the client share this one. The client waits for its new value, so query, encoding and socket are all in the figure.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any
from uuid import uuid4

import httpx
from pymongo import AsyncMongoClient
from pymongo.asynchronous.change_stream import AsyncChangeStream
from websockets.asyncio.client import ClientConnection, connect

from server.store.embedded import EmbeddedMongod
from tests.support.world import free_port, fresh_database

WRITES = 400
WARM_UP = 50
SUBJECT = "bench"


async def main() -> None:
    """Measure and print one table."""
    with tempfile.TemporaryDirectory(prefix="anime-bench-", ignore_cleanup_errors=True) as folder:
        async with EmbeddedMongod(Path(folder) / "db") as mongod:
            events, pushes = await _measure(fresh_database(mongod.uri), Path(folder))
    print("\ncommit to push, one write at a time   p50 ms   p99 ms")
    for name, times in (("bare change stream (floor)", events), ("client has the new answer", pushes)):
        print(f"{name:36}  {_percentile(times, 50):7.2f}  {_percentile(times, 99):7.2f}")
    ratios = (_percentile(pushes, part) / _percentile(events, part) for part in (50, 99))
    print("ratio                                 " + "  ".join(f"{ratio:6.2f}x" for ratio in ratios))


async def _measure(uri: str, folder: Path) -> tuple[list[float], list[float]]:
    port = free_port()
    env = {**os.environ, "MONGODB_URI": uri, "PORT": str(port), "DATA_DIR": str(folder), "APP_ENV": "development"}
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server", "web", env=env, stdout=asyncio.subprocess.PIPE
    )
    try:
        if server.stdout is None or not await server.stdout.readline():
            raise RuntimeError("the server did not start")
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(uri, w="majority")
        async with client, connect(f"ws://127.0.0.1:{port}/api/sync") as socket:
            users = client.get_default_database()["users"]
            await _subscribe(socket, f"http://127.0.0.1:{port}")
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
    finally:
        server.terminate()
        await server.wait()


async def _event(stream: AsyncChangeStream[dict[str, Any]], began: float) -> float:
    await stream.next()
    return perf_counter() - began


async def _subscribe(socket: ClientConnection, url: str) -> None:
    async with httpx.AsyncClient() as http:
        token = (await http.post(f"{url}/dev/token", json={"subject": SUBJECT})).json()["token"]
    add = {"type": "Add", "queryId": 0, "udfPath": "users:getCurrentUserCredits", "args": [{}]}
    for message in (
        {"type": "Connect", "sessionId": str(uuid4()), "connectionCount": 0, "lastCloseReason": "InitialConnect"},
        {"type": "Authenticate", "baseVersion": 0, "tokenType": "User", "value": token},
        {"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": [add]},
        {"type": "Mutation", "requestId": 0, "udfPath": "users:ensureUser", "args": [{}]},
    ):
        await socket.send(json.dumps(message))
    await _pushed(socket, 10)


async def _pushed(socket: ClientConnection, balance: int) -> float:
    """When the transition with this balance has arrived."""
    async for frame in socket:
        for change in json.loads(frame).get("modifications", ()):
            if change["type"] == "QueryUpdated" and change["value"]["credits"] == balance:
                return perf_counter()
    raise RuntimeError("the server closed the socket")


def _percentile(times: list[float], part: int) -> float:
    return quantiles(times, n=100)[part - 1] * 1_000


if __name__ == "__main__":
    asyncio.run(main())
