"""A board that everybody sees, and watchers of it whose line is as good or bad as a test wants."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any
from uuid import uuid4

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.extensions import ClientExtensionFactory

from schema.moderation import AuditEntry
from server.context import Anyone, Mutation, Query
from server.functions import PUBLISHED
from server.registry import Registry, mutation, query
from subscriptions.client import ClientMachine
from subscriptions.events import ClientEvent, MutationSettled, Trouble

BOARD, PIN = "lines:board", "lines:pin"
DEADLINE_S = 30.0
SMALL_BUFFER_BYTES = 4_096
WORDS = ("gallery", "credit", "leak", "äöü", "夢", "\\", '"')


def with_board(functions: ModuleType) -> Registry:
    """The product's functions and, beside them, the ones of this module."""
    registry = Registry()
    for name, module in (*PUBLISHED, ("lines", functions)):
        registry.publish(name, module)
    return registry


@query
async def board(ctx: Query[Anyone]) -> str:
    """What was pinned last."""
    rows = await ctx.db.take(AuditEntry.by_created.all().newest_first(), 1)
    return rows[0].target if rows else ""


@mutation()
async def pin(ctx: Mutation[Anyone], text: str) -> str:
    """Pin something on the board."""
    newest = await ctx.db.take(AuditEntry.by_created.all().newest_first(), 1)
    at = newest[0].created_at + 1 if newest else 1.0
    await ctx.db.insert(AuditEntry(actor="anyone", action="pinned", target=text, created_at=at))
    return text[:8]


def prose(size: int, seed: int = 0) -> str:
    """Text that deflates well."""
    chance = random.Random(seed)
    return " ".join(chance.choices(WORDS, k=size))[:size]


def noise(size: int, seed: int) -> str:
    """Text that hardly deflates at all."""
    return random.Random(seed).randbytes(size // 2).hex()


class Watcher:
    """One client on one line. `pushes` counts the transitions it was sent."""

    def __init__(self, line: ClientConnection) -> None:
        self.line, self.machine = line, ClientMachine(uuid4())
        self.query_id, _ = self.machine.subscribe(BOARD, {})
        self.pushes = 0

    def __repr__(self) -> str:
        return f"<Watcher {self.machine!r}, {self.pushes} pushes>"

    @property
    def shown(self) -> object:
        """The board as it is on this screen."""
        held = self.machine.answer(self.query_id)
        return held if held is None or isinstance(held, Trouble) else msgspec.json.decode(held)

    async def send(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            await self.line.send(frame.decode())

    async def until(self, is_so: Callable[[], bool]) -> list[ClientEvent]:
        """Read until something is true. Whatever arrives must make sense."""
        events: list[ClientEvent] = []
        async with asyncio.timeout(DEADLINE_S):
            while not is_so():
                frame = await self.line.recv()
                assert isinstance(frame, str)
                self.pushes += '"type":"Transition"' in frame
                events += self.machine.receive(frame.encode())
        return events

    async def shows(self, text: str) -> None:
        await self.until(lambda: self.shown == text)

    async def pin(self, text: str) -> None:
        """Pin something; returns when it is on the own screen."""
        request_id, frames = self.machine.mutation(PIN, {"text": text})
        await self.send(frames)
        events = await self.until(lambda: not self.machine.unsettled)
        settled = [each for each in events if isinstance(each, MutationSettled)]
        assert [(each.request_id, isinstance(each.outcome, Trouble)) for each in settled] == [(request_id, False)]

    def stop_reading(self) -> None:
        """Take nothing more out of the kernel's buffer."""
        self.line.transport.pause_reading()

    def read_on(self) -> None:
        self.line.transport.resume_reading()


@asynccontextmanager
async def watcher(url: str, *, deflate: ClientExtensionFactory | None = None, **options: Any) -> AsyncIterator[Watcher]:
    """A client that has the board on its screen. Without an offer there is no compression."""
    address = f"{url.replace('http', 'ws', 1)}/api/sync"
    extensions = None if deflate is None else [deflate]
    line = await connect(
        address, proxy=None, max_size=None, max_queue=None, compression=None, extensions=extensions, **options
    )
    try:
        opened = Watcher(line)
        await opened.send(opened.machine.connect())
        await opened.until(lambda: opened.shown is not None)
        yield opened
    finally:
        line.transport.abort()
