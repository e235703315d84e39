"""A bounded first-in-first-out line.

Invariant: it never holds more than its bounds allow, in items or in bytes.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from subscriptions.errors import TooMany

T = TypeVar("T")

MAX_WAITING_BYTES = 64 * 1024 * 1024


class Backlog(Generic[T]):
    """Items in order of arrival, each with its weight in bytes; full means `TooMany` with the given short code."""

    __slots__ = ("_bytes", "_items", "_limit", "_short")

    def __init__(self, limit: int, short: str) -> None:
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._limit, self._short = limit, short

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"<Backlog {len(self._items)}/{self._limit}, {self._bytes} bytes>"

    def put(self, item: T, size: int) -> None:
        """Add `item` at the end."""
        if len(self._items) >= self._limit:
            raise TooMany(self._short, self._limit)
        if self._bytes + size > MAX_WAITING_BYTES:
            raise TooMany(self._short, MAX_WAITING_BYTES)
        self._items.append((item, size))
        self._bytes += size

    def take(self) -> T:
        """Remove the first item."""
        item, size = self._items.popleft()
        self._bytes -= size
        return item

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self._bytes = 0
