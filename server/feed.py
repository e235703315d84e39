"""A reader that is told when to look again: the feed as the job loop sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from schema.reader import Reader
from server.auth.identity import Identity
from server.database import Database
from subscriptions.answers import Answer
from subscriptions.hub import Hub

T = TypeVar("T")


class Change:
    """Set once what was read may have changed."""

    __slots__ = ("_changed",)

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Change {'seen' if self._changed.is_set() else 'awaited'}>"

    def invalidated(self, query_id: int) -> None:
        """What was read may have changed (called by the hub)."""
        self._changed.set()

    async def wait(self) -> None:
        """Return once what was read may have changed."""
        await self._changed.wait()


class HubFeed:
    """For one looker: each look replaces the watch of the one before."""

    __slots__ = ("_database", "_hub", "_watched")

    def __init__(self, database: Database, hub: Hub[Identity | None]) -> None:
        self._database, self._hub = database, hub
        self._watched: tuple[Answer, Change] | None = None

    def __repr__(self) -> str:
        return f"<HubFeed at {self._hub.position}>"

    async def look(self, read: Callable[[Reader], Awaitable[T]]) -> tuple[T, Change]:
        """What `read` returns at the log's position, and a watch over all that it read."""
        ts = self._hub.position
        reader = self._database.at(ts)
        found = await read(reader)
        if self._watched is not None:
            self._hub.unwatch(*self._watched, 0)
        change = Change()
        self._watched = self._hub.watch_reads(reader.read_set(), ts, change), change
        return found, change
