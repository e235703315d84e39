"""A feed on a real change stream, without queries and sockets: what the job loop needs, for tests of it.

Invariant: a watch ends no later than the commit that touches its read set is delivered, or the clock reaches its
deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from schema.reader import Reader
from schema.readset import Commit, ReadSet, overlap
from schema.values import Millis, Timestamp
from server.database import Database
from server.store.tail import Tail
from subscriptions.errors import LogGap
from subscriptions.log import Log

T = TypeVar("T")


class MovableClock:
    """A clock that stands still until it is moved, and tells who waits for a moment."""

    def __init__(self, now: Millis) -> None:
        self.now = now
        self._listeners: list[Callable[[], None]] = []

    def __call__(self) -> Millis:
        return self.now

    def __repr__(self) -> str:
        return f"<MovableClock at {self.now}>"

    def advance(self, by: Millis) -> None:
        """Let time pass."""
        self.now += by
        for listener in self._listeners:
            listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this whenever the clock was moved."""
        self._listeners.append(listener)


class TailFeed:
    """Follows a database from `start` on. `run` is its owner's task."""

    def __init__(self, database: Database, clock: MovableClock, start: Timestamp) -> None:
        self._database, self.clock, self._log = database, clock, Log(start)
        self._tail = Tail(database.store, start, deliver=self._deliver, lost=self._lost)
        self._changed = asyncio.Event()
        self.looks = 0
        clock.listen(self._wake)

    def __repr__(self) -> str:
        return f"<TailFeed {self._log!r}, {self.looks} looks>"

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._tail.run()

    async def look(self, read: Callable[[Reader], Awaitable[T]]) -> tuple[T, FeedWatch]:
        """What `read` returns at the log's position, and a watch over what it read."""
        self.looks += 1
        position = self._log.position
        reader = self._database.at(position)
        result = await read(reader)
        return result, FeedWatch(self, position, reader.read_set())

    async def until(self, read: Callable[[Reader], Awaitable[T]], is_so: Callable[[T], bool]) -> T:
        """Wait until what `read` returns is as wanted."""
        while True:
            found, watch = await self.look(read)
            if is_so(found):
                return found
            await watch.wait()

    def touched(self, reads: ReadSet, since: Timestamp) -> bool:
        """May something that was read have changed since?"""
        try:
            return any(overlap(reads, commit.writes) for commit in self._log.since(since))
        except LogGap:
            return True

    async def change(self) -> None:
        """Return when the log or the clock has moved."""
        await self._changed.wait()

    def _deliver(self, commits: Sequence[Commit], position: Timestamp) -> None:
        self._log.append(commits, position)
        self._wake()

    def _lost(self, position: Timestamp) -> None:
        self._log.gap(position)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class FeedWatch:
    """A read set held against the feed's log."""

    def __init__(self, feed: TailFeed, since: Timestamp, reads: ReadSet) -> None:
        self._feed, self._since, self._reads = feed, since, reads

    def __repr__(self) -> str:
        return f"<FeedWatch since {self._since}, {len(self._reads.ranges)} ranges>"

    async def wait(self) -> None:
        """Return once the read set was touched or has expired."""
        while not (self._expired() or self._feed.touched(self._reads, self._since)):
            await self._feed.change()

    def _expired(self) -> bool:
        return self._reads.deadline is not None and self._feed.clock() >= self._reads.deadline
