"""`docs/consistency.md` says with which concerns each kind of operation goes to MongoDB. Here each is done, and listened to."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from jobs.queue import JobSpec, claim, enqueue
from schema.system import Job
from schema.users import User
from schema.values import minutes
from schema.writer import Writer
from server import roles
from server.auth.grants import SignedCursors
from server.database import Database
from server.functions import ledger
from server.keyring import shared_key
from server.runtime import clock
from server.store.audit import imbalances
from server.store.gridfs import BlobVault
from server.store.mongo import MongoStore
from server.store.pulse import Pulse
from server.store.setup import set_up
from server.store.tail import Tail
from server.transfer.command import export_to
from tests.house.tables import rows_of
from tests.house.test_imports import ROOT

DEADLINE_S = 20.0
ROWS = [row for row in rows_of(ROOT / "docs" / "consistency.md") if re.search(r"\(`[a-z_]+`\)$", row[0])]
BY_THE_WAY = frozenset({"endSessions", "killCursors", "getMore", "buildinfo"})
"""They have no concern of their own."""
SOON = datetime(2100, 1, 1, tzinfo=UTC)
Fields = dict[str, Any]
Step = Callable[["Place"], Awaitable[None]]


class Listener(CommandListener):
    """Notes of every command its concerns, as the page writes them."""

    def __init__(self) -> None:
        self.notes: set[str] = set()

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name not in BY_THE_WAY:
            self.notes.add(_said(event.command_name, event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


def _said(name: str, command: Mapping[str, Any]) -> str:
    """`find: snapshot at`, `update: majority`, `commit: majority`; a transaction's first statement speaks for all of them."""
    preference = command.get("$readPreference", {"mode": "primary"})["mode"]
    assert preference in ("primary", "primaryPreferred"), "every command goes to the primary; the second names no tag"
    read, write = command.get("readConcern", {}), command.get("writeConcern", {}).get("w")
    if name == "commitTransaction":
        return f"commit: {write}"
    if "autocommit" in command:
        assert write is None
        return f"transaction: {read['level']}" if command.get("startTransaction") else "transaction: snapshot"
    if "$changeStream" in str(command.get("pipeline", "")):
        return f"change stream: {read.get('level', 'majority')}"
    level = f"{read['level']} at" if "atClusterTime" in read else read.get("level")
    return f"{name}: {level or write or 'local'}"


class Place:
    """A database of its own and what works on it: `heard` is listened to, `aside` is not."""

    def __init__(self, heard: AsyncMongoClient[Fields], aside: AsyncMongoClient[Fields], folder: Path) -> None:
        self.heard, self.folder = heard, folder
        self.store = MongoStore(heard, f"test_{secrets.token_hex(6)}")
        self.aside = MongoStore(aside, self.store.database.name)
        self.database = Database(self.store, SignedCursors(bytes(32)), clock)
        self.vault = BlobVault(heard, f"{self.store.database.name}_blobs")


async def mutation(place: Place) -> None:
    await place.database.transact(partial(ledger.ensure_user, subject="ana"))


async def job(place: Place) -> None:
    async def order_and_claim(db: Writer) -> None:
        ordered = await enqueue(db, JobSpec("draw"), "photo")
        assert isinstance(await claim(db, ordered.id, "one", db.now, minutes(1)), Job)

    await place.database.transact(order_and_claim)


async def live_query(place: Place) -> None:
    await place.database.at(await place.aside.newest()).one(User.by_user_id.eq(user_id="ana"))


async def http_query(place: Place) -> None:
    await (await place.database.newest()).one(User.by_user_id.eq(user_id="ana"))


async def change_stream(place: Place) -> None:
    came = asyncio.Event()
    start = await place.aside.newest()
    tail = Tail(place.store, start, deliver=lambda *_: came.set(), lost=lambda _: None)
    following = asyncio.create_task(tail.run())
    await place.aside.database["pulses"].insert_one({"_id": "x", "_creationTime": 1.0, "beat": 1, "expiresAt": SOON})
    try:
        async with asyncio.timeout(DEADLINE_S):
            await came.wait()
    finally:
        following.cancel()
        await asyncio.wait([following])


async def pulse(place: Place) -> None:
    pulse = Pulse(place.store, "here", clock)
    async with asyncio.timeout(DEADLINE_S), await place.aside.database["pulses"].watch() as changes:
        pulse.nudge()
        beating = asyncio.create_task(pulse.run())
        await changes.next()
        beating.cancel()
        await asyncio.wait([beating])


async def upload(place: Place) -> None:
    await place.vault.put("photo", b"x" * 600_000, "image/jpeg")


async def download(place: Place) -> None:
    assert [piece async for piece in place.vault.read("photo")]


async def erasure(place: Place) -> None:
    await place.vault.delete("photo")


async def keys(place: Place) -> None:
    await shared_key(place.store.database, "grants", clock())


async def audit(place: Place) -> None:
    assert await imbalances(place.store, await place.aside.newest()) == []


async def export(place: Place) -> None:
    assert await export_to(place.folder, place.heard, place.store, place.vault, clock=clock, tell=lambda _: None) == 0


async def role(place: Place) -> None:
    assert await roles.grant(place.database, "ana")
    assert await roles.administrators(place.database) == ["ana"]


@pytest.fixture(scope="module")
async def listener() -> Listener:
    return Listener()


@pytest.fixture(scope="module")
async def place(mongod_uri: str, listener: Listener, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """Where all of them work, one after the other."""
    async with (
        AsyncMongoClient[Fields](mongod_uri, event_listeners=[listener]) as heard,
        AsyncMongoClient[Fields](mongod_uri) as aside,
    ):
        opened = Place(heard, aside, tmp_path_factory.mktemp("export") / "folder")
        await set_up(opened.aside.database)
        yield opened
        for name in (opened.store.database.name, opened.vault.database_name):
            await aside.drop_database(name)


STEPS: list[Step] = [
    mutation, job, live_query, http_query, change_stream, pulse, upload, download, export, erasure, keys, audit, role,
]  # fmt: skip


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
async def test_an_operation_has_the_concerns_that_the_page_says(place: Place, listener: Listener, step: Step) -> None:
    listener.notes.clear()
    await step(place)
    (said,) = [row for row in ROWS if f"(`{step.__name__}`)" in row[0]]
    assert set(re.findall(r"`([^`]+)`", said[1])) == listener.notes


def test_every_row_of_the_page_is_done() -> None:
    assert len(ROWS) == len(STEPS)
    assert all(all(row) for row in ROWS)
