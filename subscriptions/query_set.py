"""The queries of one socket: what they ask, what was last said of them, and which of that may be out of date.

Invariant: a query is out of date, or being evaluated, or its last sent answer stands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Generic, TypeAlias

import msgspec
from msgspec import Raw

from schema.wire import canonical_arguments
from subscriptions.effects import C, Refresh, Result, StaleQuery, Value
from subscriptions.errors import LocalProtocolError, RemoteProtocolError, TooMany, VersionMismatch, invariant
from subscriptions.protocol import Add, Modification, ModifyQuerySet, QueryRemoved, Remove
from subscriptions.transition import modification

MAX_QUERIES = 1024

Told: TypeAlias = tuple[bool, bytes]
"""What was said of a query: whether it had a value, and the digest."""


def told(result: Result) -> Told:
    """What a client knows once it was told this."""
    return isinstance(result, Value), result.digest


class LiveQuery(msgspec.Struct, eq=False):
    """One watched query. An id that is removed and added again is another query."""

    query_id: int
    path: str
    args: Raw
    journal: str | None
    stale: bool = True
    sent: Told | None = None

    def __repr__(self) -> str:
        state = "stale" if self.stale else "fresh" if self.sent else "pending"
        return f"<LiveQuery #{self.query_id} {self.path} {state}>"


class Taken(msgspec.Struct, frozen=True):
    """What one refresh took on: queries to evaluate, and ids to report as removed."""

    queries: tuple[LiveQuery, ...]
    removed: tuple[int, ...]

    def asked(self) -> tuple[StaleQuery, ...]:
        """The queries as the evaluator sees them."""
        return tuple(StaleQuery(each.query_id, each.path, each.args, each.journal) for each in self.queries)


class Flight(msgspec.Struct, Generic[C], frozen=True):
    """The one refresh that is under way."""

    refresh: Refresh[C]
    taken: Taken


class QuerySet:
    """The query set at the version the client has asked for."""

    __slots__ = ("_live", "_removed", "version")

    def __init__(self) -> None:
        self.version = 0
        self._live: dict[int, LiveQuery] = {}
        self._removed: set[int] = set()

    def __repr__(self) -> str:
        stale = sum(each.stale for each in self._live.values())
        return f"<QuerySet v{self.version}, {len(self._live)} live, {stale} stale, {len(self._removed)} removed>"

    @property
    def live(self) -> Collection[int]:
        """The ids of all watched queries."""
        return self._live.keys()

    @property
    def waiting(self) -> bool:
        """Is there anything for a refresh to take on?"""
        return bool(self._removed) or any(each.stale for each in self._live.values())

    def modify(self, message: ModifyQuerySet) -> None:
        """Move to the version the client asks for."""
        if message.base_version != self.version:
            raise VersionMismatch("query set", held=self.version, offered=message.base_version)
        if message.new_version <= message.base_version:
            raise RemoteProtocolError("A new version of the query set must be greater than its base version.")
        for each in message.modifications:
            self._edit(each)
        self.version = message.new_version

    def _edit(self, edit: Add | Remove) -> None:
        if isinstance(edit, Remove):
            if self._live.pop(edit.query_id, None) is None:
                raise RemoteProtocolError(f"Query {edit.query_id} is not watched and cannot be removed.")
            self._removed.add(edit.query_id)
            return
        if edit.query_id in self._live:
            raise RemoteProtocolError(f"Query {edit.query_id} is already watched.")
        if len(self._live) >= MAX_QUERIES:
            raise TooMany("TooManyQueries", MAX_QUERIES)
        args = Raw(canonical_arguments(bytes(edit.args)))
        self._live[edit.query_id] = LiveQuery(edit.query_id, edit.path, args, edit.journal)
        self._removed.discard(edit.query_id)  # one message per query: its new answer replaces the old one

    def invalidate(self, query_ids: Iterable[int]) -> bool:
        """Mark these as out of date; is any of them still watched?"""
        found = [self._live[each] for each in query_ids if each in self._live]
        for query in found:
            query.stale = True
        return bool(found)

    def take(self) -> Taken:
        """Hand out everything that is out of date; what becomes so from now on is for the next time."""
        taken = Taken(tuple(each for each in self._live.values() if each.stale), tuple(sorted(self._removed)))
        for query in taken.queries:
            query.stale = False
        self._removed.clear()
        return taken

    def give_back(self, taken: Taken) -> None:
        """Nothing came of it: all of it is out of date again."""
        for query in taken.queries:
            query.stale = True
        self._removed.update(each for each in taken.removed if each not in self._live)

    def settle(self, taken: Taken, results: Mapping[int, Result]) -> list[Modification]:
        """Keep the results, and return what the client does not know yet."""
        if results.keys() != {each.query_id for each in taken.queries}:
            raise LocalProtocolError("A refresh needs one result for each of its queries.")
        news: list[Modification] = [QueryRemoved(each) for each in taken.removed]
        for query in taken.queries:
            if self._live.get(query.query_id) is not query:
                continue  # removed meanwhile: the next transition says so
            result = results[query.query_id]
            query.journal, before, query.sent = result.journal, query.sent, told(result)
            if query.sent != before:
                news.append(modification(query.query_id, result))
        return news

    def leap(self, query_id: int, news: Told, journal: str | None) -> bool:
        """Keep what a watched query, whose last answer stood until now, is told at once; false if it is not that simple."""
        query = self._live.get(query_id)
        if query is None or query.stale or query.sent is None or query.sent == news:
            return False
        query.sent, query.journal = news, journal
        return True

    def carried(self, results: Mapping[int, Result]) -> None:
        """Keep what watched queries were told in company."""
        for query_id, result in results.items():
            query = self._live[query_id]
            query.sent, query.journal = told(result), result.journal

    def validate(self, flight: Taken | None) -> None:
        """Raise unless the invariant holds, given the refresh in flight."""
        flying = set() if flight is None else {id(each) for each in flight.queries}
        invariant(len(self._live) <= MAX_QUERIES, "the query set is bounded")
        invariant(not self._removed & self._live.keys(), "a query is watched or removed, not both")
        for query in self._live.values():
            known = query.stale or query.sent is not None or id(query) in flying
            invariant(known, f"{query!r} is stale, in flight or answered")
