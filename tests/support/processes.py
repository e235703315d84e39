"""The product as processes: each `python -m server ...` with its lines kept, people who call it, several on one database.

Invariant: whatever is started here is ended by the context that started it, by its process id, also after a failure.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from pymongo import AsyncMongoClient
from websockets.asyncio.client import ClientConnection, connect

from server.dev.issuer import DevIssuer
from server.migrate import bring_up
from server.runtime import blobs_of
from server.store.migrating import Migrations
from server.store.mongo import MongoStore
from subscriptions.client import ClientMachine
from tests.support.world import free_port, fresh_database, give_key

ROOT = Path(__file__).parents[2]
DEADLINE_S = 90.0
LEASE_S = 4
"""Of a drawing, in tests: when a worker is killed, its drawings are taken up so much later."""
PUBLIC_URL = "http://anime.test"
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")
Fields = dict[str, Any]


class Running:
    """One `python -m server ...`. Its lines are kept; anybody may wait for one."""

    def __init__(self, started: asyncio.subprocess.Process) -> None:
        self._started = started
        self.lines: list[str] = []
        self._more = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self._started.pid

    @property
    def is_over(self) -> bool:
        return self._started.returncode is not None

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    async def _read(self) -> None:
        assert self._started.stdout is not None
        async for line in self._started.stdout:
            self.lines.append(line.decode().rstrip())
            self._more.set()
            self._more = asyncio.Event()

    async def says(self, words: str) -> None:
        """Wait for a line that holds these words."""
        async with asyncio.timeout(DEADLINE_S):
            while not any(words in line for line in self.lines):
                more = asyncio.create_task(self._more.wait())
                await asyncio.wait((more, self._reader), return_when=asyncio.FIRST_COMPLETED)
                more.cancel()
                assert not self._reader.done() or words in self.said, self.said

    def send(self, number: signal.Signals) -> None:
        self._started.send_signal(number)

    async def ended(self, within_s: float | None = DEADLINE_S) -> int:
        """Wait for its end; its status."""
        async with asyncio.timeout(within_s):
            status = await self._started.wait()
            await self._reader
        return status

    async def kill(self) -> None:
        """End it without a word, if it has not ended."""
        if self._started.returncode is None:
            self._started.kill()
        await self.ended()


@asynccontextmanager
async def running(command: str, root: Path = ROOT, /, **variables: str) -> AsyncIterator[Running]:
    """Run the server, or a copy of it in another folder, with these variables and no others of ours."""
    async with running_words((sys.executable, "-m", "server", command), root, **variables) as started:
        yield started


@asynccontextmanager
async def running_words(words: Sequence[str], root: Path = ROOT, /, **variables: str) -> AsyncIterator[Running]:
    """Run any command so."""
    env = {name: os.environ[name] for name in INHERITED if name in os.environ}
    started = Running(
        await asyncio.create_subprocess_exec(
            *words,
            cwd=root,
            env={**env, **variables},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    )
    try:
        yield started
    finally:
        await started.kill()


def mongod_below(pid: int) -> int:
    """The process id of the mongod that this process started."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if name == "mongod" and int(rest.split()[1]) == pid:
            return int(stat.parent.name)
    raise AssertionError(f"process {pid} has no mongod")


async def is_over(pidfd: int) -> bool:
    """Wait for the end of any process, a child of ours or not."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(await asyncio.to_thread(poll.poll, DEADLINE_S * 1_000))


# --- talking to it ---------------------------------------------------------------------------------------------------


class Person:
    """Somebody with a token, who calls functions over HTTP."""

    def __init__(self, http: httpx.AsyncClient, url: str, token: str) -> None:
        self._http, self.url, self.token = http, url, token

    async def _call(self, kind: str, path: str, args: Fields) -> Any:
        headers = {"authorization": f"Bearer {self.token}"}
        reply = await self._http.post(f"{self.url}/api/{kind}", json={"path": path, "args": args}, headers=headers)
        answer = reply.raise_for_status().json()
        assert answer["status"] == "success", answer
        return answer.get("value")

    async def query(self, path: str, **args: Any) -> Any:
        return await self._call("query", path, args)

    async def mutate(self, path: str, **args: Any) -> Any:
        return await self._call("mutation", path, args)

    async def upload(self, photo: bytes) -> str:
        address = await self.mutate("images:generateUploadUrl")
        path = httpx.URL(address).raw_path.decode()  # the grant is good at every process, whatever the public address
        reply = await self._http.post(f"{self.url}{path}", content=photo, headers={"content-type": "image/jpeg"})
        storage_id: str = reply.raise_for_status().json()["storageId"]
        return storage_id


class Line:
    """One WebSocket of a client that may have had others."""

    def __init__(self, socket: ClientConnection, machine: ClientMachine) -> None:
        self.socket, self.machine = socket, machine

    async def send(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            await self.socket.send(frame.decode())

    async def until(self, is_so: Callable[[], bool]) -> list[object]:
        """Take in messages until something is true."""
        events: list[object] = []
        async with asyncio.timeout(DEADLINE_S):
            while not is_so():
                frame = await self.socket.recv()
                events += self.machine.receive(frame if isinstance(frame, bytes) else frame.encode())
        return events


@asynccontextmanager
async def line(url: str, machine: ClientMachine) -> AsyncIterator[Line]:
    """Connect a client and send everything it has to say."""
    async with connect(f"{url.replace('http', 'ws', 1)}/api/sync", max_size=None) as socket:
        opened = Line(socket, machine)
        await opened.send(machine.connect())
        yield opened
    machine.disconnect()


class Deployment:
    """Several processes on one database, behind one public address."""

    def __init__(
        self, uri: str, client: AsyncMongoClient[Fields], folder: Path, http: httpx.AsyncClient, stack: AsyncExitStack
    ) -> None:
        self.variables = {
            "MONGODB_URI": uri, "DATA_DIR": str(folder), "APP_ENV": "development", "PUBLIC_URL": PUBLIC_URL,
            "GENERATION_LEASE_S": str(LEASE_S),
        }  # fmt: skip
        self._http, self._stack = http, stack
        give_key(folder)
        self._issuer = DevIssuer.open(f"{PUBLIC_URL}/dev", folder)
        self.client, self.database = client, client.get_default_database()

    def token(self, subject: str) -> str:
        return self._issuer.token(subject, now=time.time() * 1_000)

    def person(self, subject: str, url: str) -> Person:
        return Person(self._http, url, self.token(subject))

    async def web(self) -> tuple[Running, str]:
        """Another web process, and its own address."""
        port = free_port()
        started = await self._stack.enter_async_context(running("web", **self.variables, PORT=str(port)))
        await started.says("is serving")
        return started, f"http://127.0.0.1:{port}"

    async def worker(self, **variables: str) -> Running:
        """Another worker process."""
        started = await self._stack.enter_async_context(running("worker", **{**self.variables, **variables}))
        await started.says("is waiting for jobs")
        return started

    async def rows(self, table: str) -> list[Fields]:
        return await self.database[table].find({}).to_list()

    async def generations(self) -> list[Fields]:
        return [each for each in await self.rows("jobs") if each["kind"] == "generate_image"]

    async def settled(self, count: int) -> None:
        """Wait until so many generations have ended."""
        done = {"kind": "generate_image", "state": {"$in": ["succeeded", "dead", "cancelled"]}}
        async with asyncio.timeout(DEADLINE_S), await self.database["jobs"].watch() as changes:
            while await self.database["jobs"].count_documents(done) < count:
                await changes.next()

    async def check_books(self) -> None:
        """Every balance is the sum of its ledger; every original was paid for once; every receipt had its effect."""
        entries, images = await self.rows("ledger"), await self.rows("images")
        for user in await self.rows("users"):
            mine = [each["amount"] for each in entries if each["userId"] == user["userId"]]
            assert user["credits"] == sum(mine), user
        spent = sorted(each["imageId"] for each in entries if each["kind"] == "spend")
        assert spent == sorted(each["_id"] for each in images if not each["isGenerated"])
        known = {each["_id"] for each in images}
        for receipt in await self.rows("receipts"):
            value = json.loads(receipt["value"])
            assert value is None or value in known, receipt
        assert {each["subject"] for each in await self.generations()} == set(spent)


@asynccontextmanager
async def open_deployment(mongod_uri: str, folder: Path, http: httpx.AsyncClient) -> AsyncIterator[Deployment]:
    """An empty database for processes to share; they end before it does."""
    uri = fresh_database(mongod_uri)
    async with AsyncMongoClient[Fields](uri) as client:
        database = client.get_default_database()
        try:
            async with AsyncExitStack() as stack:
                store = MongoStore(client, database.name)
                await bring_up(store, Migrations(client, blobs_of(store)))
                yield Deployment(uri, client, folder, http, stack)
        finally:
            for name in (database.name, f"{database.name}_blobs"):
                await client.drop_database(name)
