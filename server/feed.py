"""A reader that is told when to look again: the feed as jobs see it."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from typing import TypeVar

from schema.reader import Reader
from server.auth.identity import Identity
from server.database import Database
from subscriptions.hub import Hub

T = TypeVar("T")


class _Signal:
    """What the hub holds on to: it must not keep the `Change` alive, whose end is the end of the watch."""

    __slots__ = ("event",)

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def invalidated(self, query_id: int) -> None:
        self.event.set()


class Change:
    """Whether what was read may have changed since. Letting go of it ends the watch."""

    __slots__ = ("__weakref__", "_signal")

    def __init__(self, signal: _Signal) -> None:
        self._signal = signal

    def __repr__(self) -> str:
        return f"<Change {'seen' if self._signal.event.is_set() else 'awaited'}>"

    async def wait(self) -> None:
        """Return once what was read may have changed."""
        await self._signal.event.wait()


class HubFeed:
    """Looks at the database at the log's position, for any number of lookers."""

    __slots__ = ("_database", "_hub")

    def __init__(self, database: Database, hub: Hub[Identity | None]) -> None:
        self._database, self._hub = database, hub

    def __repr__(self) -> str:
        return f"<HubFeed at {self._hub.position}>"

    async def look(self, read: Callable[[Reader], Awaitable[T]]) -> tuple[T, Change]:
        """What `read` returns at the log's position, and a watch over all that it read."""
        ts = self._hub.position
        reader = self._database.at(ts)
        found = await read(reader)
        signal = _Signal()
        watched = self._hub.watch_reads(reader.read_set(), ts, signal)
        change = Change(signal)
        weakref.finalize(change, self._hub.unwatch, watched, signal, 0).atexit = False
        return found, change
