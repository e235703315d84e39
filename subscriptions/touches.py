"""Touches: which keys the commits of the log's window touched, and when, found by key and not by asking every commit.

Invariant: `first_since` finds exactly what `schema.readset.overlap` finds when every commit of the window is held against what
was read.

Keys lie under their index and their first part; what a read set asks for nearly always begins with one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Reversible
from itertools import chain
from typing import TypeAlias

from schema.keys import Key, KeyRange
from schema.readset import Commit, ReadSet
from schema.values import Timestamp

_Drawer: TypeAlias = deque[tuple[Timestamp, Key]]


class Touches:
    """Add commits in order, take them off in the same order."""

    __slots__ = ("_indexes", "_tables")

    def __init__(self) -> None:
        self._indexes: dict[tuple[str, str], dict[Key, _Drawer]] = {}
        self._tables: dict[str, deque[Timestamp]] = {}

    def __repr__(self) -> str:
        return f"<Touches of {len(self._indexes)} indexes, {sum(map(len, self._indexes.values()))} first parts>"

    def add(self, commit: Commit) -> None:
        """The newest commit."""
        for touch in commit.writes.touches:
            drawers = self._indexes.setdefault((touch.table, touch.index), {})
            drawers.setdefault(touch.key[:1], deque()).append((commit.ts, touch.key))
        for table in commit.writes.tables:
            self._tables.setdefault(table, deque()).append(commit.ts)

    def drop(self, commit: Commit) -> None:
        """The oldest commit is not of interest any more."""
        for touch in commit.writes.touches:
            drawers = self._indexes[touch.table, touch.index]
            drawer = drawers[touch.key[:1]]
            drawer.popleft()
            if not drawer:
                del drawers[touch.key[:1]]
                if not drawers:
                    del self._indexes[touch.table, touch.index]
        for table in commit.writes.tables:
            self._tables[table].popleft()
            if not self._tables[table]:
                del self._tables[table]

    def clear(self) -> None:
        """No commit is known any more."""
        self._indexes.clear()
        self._tables.clear()

    def first_since(self, ts: Timestamp, reads: ReadSet) -> Timestamp | None:
        """When the first commit above `ts` took place that meets what was read."""
        found = (self._first_in(keys, ts) for keys in reads.ranges)
        return min((each for each in found if each is not None), default=None)

    def _first_in(self, keys: KeyRange, ts: Timestamp) -> Timestamp | None:
        drawers = self._indexes.get((keys.table, keys.index), {})
        if keys.prefix:
            touched = _newer(drawers.get(keys.prefix[:1], ()), ts)
        else:
            touched = chain.from_iterable(_newer(drawer, ts) for drawer in drawers.values())
        by_key = (at for at, key in touched if keys.contains(key))
        by_table = (at for at in reversed(self._tables.get(keys.table, ())) if at > ts)
        return min(chain(by_key, by_table), default=None)


def _newer(drawer: Reversible[tuple[Timestamp, Key]], ts: Timestamp) -> Iterator[tuple[Timestamp, Key]]:
    """What lies above `ts`, the newest first."""
    for each in reversed(drawer):
        if each[0] <= ts:
            return
        yield each
