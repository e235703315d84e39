"""What the loop asks of the database and of the feed. The server implements both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from schema.reader import Reader
from schema.values import Millis, Timestamp
from schema.writer import Writer

T = TypeVar("T")


class Clock(Protocol):
    """The time, as milliseconds since the epoch."""

    def __call__(self) -> Millis: ...


class Chance(Protocol):
    """A random number in [0, 1)."""

    def __call__(self) -> float: ...


class Transact(Protocol):
    """Where transactions are run."""

    async def transact(self, work: Callable[[Writer], Awaitable[T]]) -> tuple[T, Timestamp]:
        """Run `work` in a transaction, again after a conflict; its result and the commit time.

        Raises `WriteConflict`, `StoreUnavailable`, and what `work` raises.
        """
        ...


class Watch(Protocol):
    """A read set that is held against the feed. It may be dropped without having been waited for."""

    async def wait(self) -> None:
        """Return once the read set may have changed since it was read: touched, expired, or nobody can tell."""
        ...


class Feed(Protocol):
    """Where one looks at the database and is told when to look again."""

    async def look(self, read: Callable[[Reader], Awaitable[T]]) -> tuple[T, Watch]:
        """What `read` returns at the feed's position, and a watch over all that it read.

        Raises `SnapshotGone`, `StoreUnavailable`.
        """
        ...
