"""What an answer depends on, and what a commit touched.

Invariant: an answer may have changed only if a commit's write set meets its read set, a facet of its caller changed,
or its deadline has passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf

import msgspec

from schema.keys import Key, KeyRange
from schema.values import Millis, Timestamp


class ReadSet(msgspec.Struct, frozen=True):
    """The ranges that were read, the facets of the caller that were looked at, the moment at which time alone matters."""

    ranges: tuple[KeyRange, ...] = ()
    facets: frozenset[str] = frozenset()
    deadline: Millis | None = None


class Touch(msgspec.Struct, frozen=True):
    """One key of one index under which a document was found before or after a commit."""

    table: str
    index: str
    key: Key


class WriteSet(msgspec.Struct, frozen=True):
    """Everything a commit touched. `tables` are those of which no more is known than that something changed."""

    touches: frozenset[Touch] = frozenset()
    tables: frozenset[str] = frozenset()


class Commit(msgspec.Struct, frozen=True):
    """One transaction's write set at its commit time. `at` is when that was by the database's clock, infinite if not known."""

    ts: Timestamp
    writes: WriteSet
    at: Millis = inf


def overlap(reads: ReadSet, writes: WriteSet) -> bool:
    """Does the write set meet the ranges read? The plain definition; the matcher is its fast form."""
    if any(each.table in writes.tables for each in reads.ranges):
        return True
    return any(
        each.table == touch.table and each.index == touch.index and each.contains(touch.key)
        for touch in writes.touches
        for each in reads.ranges
    )


def united(write_sets: Iterable[WriteSet]) -> WriteSet:
    """All of them as one."""
    parts = list(write_sets)
    return WriteSet(
        frozenset().union(*(each.touches for each in parts)),
        frozenset().union(*(each.tables for each in parts)),
    )


Fields = Mapping[str, object]
"""A document as the change feed carries it: wire names to values, only those that some index needs."""
