"""Readers and writers over the store: what functions, jobs and the file routes reach the database through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from schema.paging import CursorCodec
from schema.reader import Reader
from schema.values import Millis, Timestamp
from schema.writer import Writer
from server.ids import document_ids
from server.store.mongo import MongoStore, MongoTransaction

T = TypeVar("T")


class Database:
    """Hands out readers at a timestamp and writers inside a transaction."""

    def __init__(self, store: MongoStore, cursors: CursorCodec, clock: Callable[[], Millis]) -> None:
        self.store, self._cursors, self._clock = store, cursors, clock

    def __repr__(self) -> str:
        return f"<Database {self.store!r}>"

    def at(self, ts: Timestamp, journal: str | None = None) -> Reader:
        """A reader of the state at `ts`."""
        return Reader(self.store.snapshot(ts), self._cursors, journal)

    async def newest(self) -> Reader:
        """A reader that sees every commit acknowledged so far."""
        return self.at(await self.store.newest())

    async def transact(
        self, work: Callable[[Writer], Awaitable[T]], committing: Callable[[], None] = lambda: None
    ) -> tuple[T, Timestamp]:
        """Run `work` in a transaction, again after a conflict; its result and the commit time.

        `committing` is called just before each commit is sent.
        """
        now = self._clock()

        async def attempt(transaction: MongoTransaction) -> T:
            return await work(Writer(transaction, self._cursors, now=now, mint=document_ids()))

        return await self.store.transact(attempt, committing)
