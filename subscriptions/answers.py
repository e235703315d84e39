"""Answers: evaluated once for each distinct (function, arguments, journal, facets) and shared by everybody who may share them.

Invariant: an answer is valid at a timestamp if it was computed at or before it, and no commit in between met its read set,
and time has not passed its deadline.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from math import inf
from typing import Generic, Protocol, TypeVar

import msgspec

from schema.readset import ReadSet, WriteSet
from schema.values import Millis, Timestamp
from subscriptions.effects import Result
from subscriptions.history import NEVER_RAN
from subscriptions.matcher import Matcher

C = TypeVar("C")

MAX_IDLE_ANSWERS = 2_048
"""Answers that nobody watches, kept for whoever asks next."""

Facets = tuple[tuple[str, "str | None"], ...]


class Question(msgspec.Struct, frozen=True):
    """What is asked: a function, its canonical arguments, and the decisions that a re-run must repeat."""

    path: str
    arguments: bytes
    journal: str | None


class Watcher(Protocol):
    """Whoever shows an answer to somebody."""

    def invalidated(self, query_id: int) -> None:
        """The answer to this query is no longer the newest."""
        ...


Watching = tuple[Watcher, int]
"""A watcher, and as which of its queries it shows an answer."""


class Answer:
    """One evaluation: its encoded result, what it depended on, since when it is stale, and who shows it."""

    __slots__ = (
        "caller", "expired", "facets", "question", "reads", "result", "run", "stale_at", "stale_since", "timed", "ts",
        "watchers",
    )  # fmt: skip

    def __init__(
        self, question: Question, caller: object, facets: Facets, ts: Timestamp, result: Result, reads: ReadSet
    ) -> None:
        self.question, self.caller, self.facets, self.ts = question, caller, facets, ts
        self.result, self.reads = result, reads
        self.run = NEVER_RAN
        self.stale_at: Timestamp | None = None
        self.stale_since: Millis = inf
        """When the commit was that made it stale, by the database's clock."""
        self.expired = self.timed = False
        self.watchers: dict[Watching, None] = {}
        """In the order in which they came: neighbours then are neighbours in memory, here and in the kernel."""

    def __repr__(self) -> str:
        state = "expired" if self.expired else f"stale at {self.stale_at}" if self.stale_at else "valid"
        return f"<Answer {self.question.path} at {self.ts}, {state}, {len(self.watchers)} watchers>"

    def valid_at(self, ts: Timestamp) -> bool:
        """Is this what the query would return at `ts`?"""
        return not self.expired and self.ts <= ts and (self.stale_at is None or ts < self.stale_at)

    @property
    def is_current(self) -> bool:
        """Has nothing happened to it yet?"""
        return not self.expired and self.stale_at is None


class Answers(Generic[C]):
    """The current answers, found by question and by the facets of who asks; and which of them a commit meets."""

    __slots__ = ("_by_question", "_facet", "_idle", "_matcher")

    def __init__(self, facet: Callable[[C, str], str | None]) -> None:
        self._facet = facet
        self._by_question: dict[Question, dict[Facets, Answer]] = {}
        self._idle: OrderedDict[Answer, None] = OrderedDict()
        self._matcher: Matcher[Answer] = Matcher()

    def __repr__(self) -> str:
        return f"<Answers {len(self._matcher)} current, {len(self._idle)} idle>"

    def __len__(self) -> int:
        return len(self._matcher)

    def __iter__(self) -> Iterator[Answer]:
        for by_facets in self._by_question.values():
            yield from by_facets.values()

    def facets(self, caller: C, names: frozenset[str]) -> Facets:
        """What a caller looks like to a function that looks at `names`."""
        return tuple((name, self._facet(caller, name)) for name in sorted(names))

    def fits(self, answer: Answer, caller: C) -> bool:
        """May this caller share the answer?"""
        return all(self._facet(caller, name) == value for name, value in answer.facets)

    def find(self, question: Question, caller: C, ts: Timestamp) -> Answer | None:
        """A current answer that this caller may share and that is valid at `ts`."""
        for answer in self._by_question.get(question, {}).values():
            if self.fits(answer, caller) and answer.valid_at(ts):
                return answer
        return None

    def add(self, answer: Answer) -> Answer:
        """Keep a current answer for whoever asks next; returns the one to use, which may be an equal one kept already."""
        by_facets = self._by_question.setdefault(answer.question, {})
        kept = by_facets.setdefault(answer.facets, answer)
        if kept is answer:
            self._matcher.watch(answer, answer.reads)
            self._rest(answer)
        return kept if kept.ts <= answer.ts else answer

    def watch(self, answer: Answer, watcher: Watcher, query_id: int) -> None:
        """`watcher` shows this answer as its query `query_id`; if it is stale already, it is told at once."""
        if not answer.is_current:
            watcher.invalidated(query_id)
            return
        answer.watchers[watcher, query_id] = None
        self._idle.pop(answer, None)
        self._matcher.watch(answer, answer.reads)

    def unwatch(self, answer: Answer, watcher: Watcher, query_id: int) -> None:
        """It no longer does."""
        answer.watchers.pop((watcher, query_id), None)
        if not answer.watchers and answer.is_current:
            self._rest(answer)

    def follows(self, answer: Answer) -> bool:
        """Is every commit held against it as it comes? Not if it was let go of, or never kept beside an equal one."""
        return bool(answer.watchers) or answer in self._idle

    def met_by(self, writes: WriteSet) -> set[Answer]:
        """The current answers that a commit may have changed."""
        return self._matcher.hits(writes)

    def retire(self, answer: Answer) -> dict[Watching, None]:
        """The answer is no longer current: forget it, and return who shows it and has to be told."""
        self._forget(answer)
        watchers, answer.watchers = answer.watchers, {}
        return watchers

    def _rest(self, answer: Answer) -> None:
        """Nobody shows it now; keep it for a while, and let the longest unused go."""
        if self._by_question.get(answer.question, {}).get(answer.facets) is not answer:
            self._matcher.unwatch(answer)
            return
        self._idle[answer] = None
        self._idle.move_to_end(answer)
        while len(self._idle) > MAX_IDLE_ANSWERS:
            self._forget(next(iter(self._idle)))

    def _forget(self, answer: Answer) -> None:
        self._idle.pop(answer, None)
        self._matcher.unwatch(answer)
        by_facets = self._by_question.get(answer.question)
        if by_facets is not None and by_facets.get(answer.facets) is answer:
            del by_facets[answer.facets]
            if not by_facets:
                del self._by_question[answer.question]
