"""A server in a process of its own, and the simplest client there is: what the benchmarks measure through."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import msgspec
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from server.store.embedded import EmbeddedMongod
from tests.support.world import free_port, fresh_database

Message = dict[str, Any]
T = TypeVar("T")

EXECUTIONS = "anime_query_executions_total "


class Product(msgspec.Struct, frozen=True):
    """A running server and the database under it."""

    url: str
    database_uri: str
    port: int
    pid: int

    async def token(self, subject: str) -> str:
        """A development token."""
        async with httpx.AsyncClient() as http:
            reply = await http.post(f"{self.url}/dev/token", json={"subject": subject})
            token: str = reply.json()["token"]
            return token

    async def executions(self) -> int:
        """How many queries the server has run."""
        async with httpx.AsyncClient() as http:
            lines = (await http.get(f"{self.url}/metrics")).text.splitlines()
        return next(int(float(line.split()[1])) for line in lines if line.startswith(EXECUTIONS))


def apart(server_pid: int | None = None) -> None:
    """Give the sending process a core of its own: without that, thousands of clients are measured as much as the server.

    Called first without, for this process and all that it starts, then for each process that is measured, the floor's too. Not
    for benchmarks whose floor runs in this process: it would share a core with the database, and flatter us.
    """
    cores = sorted(range(os.cpu_count() or 1))
    if len(cores) > 1:
        os.sched_setaffinity(server_pid or 0, cores[:1] if server_pid else cores[1:])


@asynccontextmanager
async def product(*, command: str = "web") -> AsyncIterator[Product]:
    """Start a database and one server process; `command` is `web`, or `dev` for one that works as well."""
    with tempfile.TemporaryDirectory(prefix="anime-bench-", ignore_cleanup_errors=True) as folder:
        async with EmbeddedMongod(Path(folder) / "db") as mongod:
            uri, port = fresh_database(mongod.uri), free_port()
            env = {**os.environ, "MONGODB_URI": uri, "PORT": str(port), "DATA_DIR": folder, "APP_ENV": "development"}
            server = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "server",
                command,
                env={**env, "LOG_LEVEL": "error"},
                stdout=asyncio.subprocess.PIPE,
            )
            try:
                if server.stdout is None or not await server.stdout.readline():
                    raise RuntimeError("the server did not start")
                yield Product(f"http://127.0.0.1:{port}", uri, port, server.pid)
            finally:
                server.terminate()
                await server.wait()


class Socket:
    """One signed-in sync socket."""

    def __init__(self, line: ClientConnection) -> None:
        self._line = line
        self._requests = self._version = 0

    async def send(self, message: Message) -> None:
        """One message out."""
        await self._line.send(json.dumps(message))

    async def receive(self) -> Message:
        """One message in."""
        message: Message = json.loads(await self._line.recv())
        return message

    async def mutate(self, path: str, args: Message) -> Message:
        """Run a mutation; its response once a transition has confirmed it, as the published clients wait for it."""
        number, self._requests = self._requests, self._requests + 1
        await self.send({"type": "Mutation", "requestId": number, "udfPath": path, "args": [args]})
        response: Message | None = None
        while True:
            message = await self.receive()
            if message["type"] == "MutationResponse" and message["requestId"] == number:
                response = message
            elif message["type"] == "Transition" and response is not None:
                return response

    async def watch(self, path: str, args: Message) -> None:
        """Subscribe to one query; `value` waits for what it says."""
        add = {"type": "Add", "queryId": self._version, "udfPath": path, "args": [args]}
        await self._modify(add)

    async def forget(self) -> None:
        """Subscribe no longer."""
        await self._modify({"type": "Remove", "queryId": self._version - 1})

    async def value(self) -> Message:
        """The next answer of the query."""
        while True:
            for change in (await self.receive()).get("modifications", ()):
                if change["type"] == "QueryUpdated":
                    value: Message = change["value"]
                    return value

    async def _modify(self, edit: Message) -> None:
        version, self._version = self._version, self._version + 1
        await self.send(
            {"type": "ModifyQuerySet", "baseVersion": version, "newVersion": version + 1, "modifications": [edit]}
        )


@asynccontextmanager
async def signed_in(product: Product, subject: str) -> AsyncIterator[Socket]:
    """A socket of this member, who has an account."""
    token = await product.token(subject)
    async with connect(product.url.replace("http", "ws", 1) + "/api/sync", compression=None) as line:
        socket = Socket(line)
        await socket.send(
            {"type": "Connect", "sessionId": str(uuid4()), "connectionCount": 0, "lastCloseReason": "InitialConnect"}
        )
        await socket.send({"type": "Authenticate", "baseVersion": 0, "tokenType": "User", "value": token})
        await socket.mutate("users:ensureUser", {})
        yield socket


def add_query(query_id: int, path: str, args: str) -> str:
    """An edit of a query set, as JSON."""
    return f'{{"type":"Add","queryId":{query_id},"udfPath":"{path}","args":[{args}]}}'


def opening(*edits: str) -> str:
    """The message with which a socket without an account asks for its queries."""
    return f'{{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{",".join(edits)}]}}'


def processor_s(pid: int) -> float:
    """Seconds that a process's main thread has been running, which on a busy machine says more than the clock."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def resident_bytes(pid: int) -> int:
    """What a process occupies in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def percentile(seconds: list[float], part: int) -> float:
    """Milliseconds."""
    return quantiles(seconds, n=100)[part - 1] * 1_000


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run on the loop that the product runs on: a floor on a slower one would flatter us."""
    print(f"\n[load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores]", flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
