"""The hub: commits come in from the feed, answers go stale, watchers are told; questions are answered once for all who ask.

Invariant: an answer is registered as of the timestamp it was computed at, and every commit after that has been held against
it before anybody relies on it. So nothing is missed between reading and watching.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import count
from math import inf
from typing import Generic, Protocol, TypeVar, cast

import msgspec
from msgspec import Raw

from schema.errors import SnapshotGone, StoreUnavailable
from schema.readset import Commit, ReadSet, WriteSet
from schema.tables import EVERYTHING
from schema.values import Millis, Timestamp
from subscriptions.alarms import Alarms
from subscriptions.answers import Answer, Answers, Question, Watcher
from subscriptions.cohorts import Cohorts
from subscriptions.effects import Result, Value
from subscriptions.errors import LogGap
from subscriptions.fan_out import FanOuts
from subscriptions.flights import Flights
from subscriptions.histogram import Histogram
from subscriptions.history import NOTHING, Cost, History, Reason
from subscriptions.leap import Leap
from subscriptions.log import Log
from subscriptions.turns import Turns

C = TypeVar("C")
C_contra = TypeVar("C_contra", contravariant=True)

MAX_TIMER_S = 3_600.0
MAX_SPENT_DEADLINES = 1_024
"""Deadlines of answers that went stale for other reasons are swept out when they outnumber the living by this much."""


_NOTHING = Value(Raw(b"null"), b"")


class Evaluated(msgspec.Struct, frozen=True):
    """What running a query gave, what that depended on, and how many documents were read for it; adopted if not by us."""

    result: Result
    reads: ReadSet
    documents: int = 0
    is_adopted: bool = False


class Evaluate(Protocol[C_contra]):
    """Runs a query for a caller at a timestamp. Raises `SnapshotGone` or `StoreUnavailable`, nothing else."""

    def __call__(self, question: Question, caller: C_contra, ts: Timestamp, /) -> Awaitable[Evaluated]: ...


class Hub(Generic[C]):
    """One per process, between the feed and everybody who watches."""

    def __init__(
        self,
        log: Log,
        evaluate: Evaluate[C],
        *,
        facet: Callable[[C, str], str | None],
        nudge: Callable[[], None],
        clock: Callable[[], Millis],
    ) -> None:
        self.log, self.answers, self.turns, self.history = log, Answers[C](facet), Turns(), History(log)
        self.alarms = Alarms(log, nudge)
        self._evaluate, self._clock = evaluate, clock
        self.cohorts = Cohorts(self.watch, self.unwatch)
        self.fan_outs = FanOuts(self._successor, self._arrived, self.cohorts, clock, self.pushed)
        self._flights = Flights()
        self._looked_at: dict[str, frozenset[str]] = {}
        self._deadlines: list[tuple[Millis, int, Answer]] = []
        self._serial = count()
        self._timer: asyncio.TimerHandle | None = None
        self.moved_at = clock()
        self.lag: Millis = 0.0
        """How long the newest commit took from the database to here, by both their clocks."""
        self.pushes = Histogram()
        """From a commit to the frame that a socket is handed because of it, in seconds; each socket counts."""
        self.on_push: Callable[[Millis, int], None] | None = None
        self.executions = self.invalidations = 0

    def __repr__(self) -> str:
        return f"<Hub {self.log!r}, {self.answers!r}, {self._flights!r}>"

    @property
    def position(self) -> Timestamp:
        """The newest moment at which everything can be answered."""
        return self.log.position

    def deliver(self, commits: Sequence[Commit], position: Timestamp) -> None:
        """Take in commits, in order; every answer they meet is stale from its commit on."""
        self.log.append(commits, position)
        for commit in commits:
            for answer in self.answers.met_by(commit.writes):
                self._retire(answer, "commit", commit.ts, commit.writes, commit.at)
            self.lag = max(0.0, self._clock() - commit.at)
        self._moved()

    def lost(self, position: Timestamp) -> None:
        """History was lost up to `position`: any answer may be wrong from here on."""
        self.log.gap(position)
        for answer in self.answers.met_by(EVERYTHING):
            self._retire(answer, "gap", position)
        self._moved()

    def _retire(
        self, answer: Answer, why: Reason, ts: Timestamp | None = None, writes: WriteSet = NOTHING, at: Millis = inf
    ) -> None:
        """An answer is stale from `ts` on, or everywhere. Who shows it is told in turn, and asks it before relying on it."""
        self.invalidations += 1
        answer.stale_at, answer.expired, answer.stale_since = ts, ts is None, at
        shown_to = self.shown_to(answer)
        watchers, crowds = self.answers.retire(answer), self.cohorts.retired(answer)
        for crowd in crowds:
            watchers.pop(crowd, None)
        answer.run.end(why, ts, writes, shown_to)
        self.fan_outs.tell(answer, watchers, crowds)

    def pushed(self, stale_since: Millis, count: int) -> None:
        """So many sockets were handed just now what follows from a commit of that moment."""
        if stale_since < inf and count:
            self.pushes.observe(max(0.0, self._clock() - stale_since) / 1_000, count)
            if self.on_push is not None:
                self.on_push(stale_since, count)

    def shown_to(self, answer: Answer) -> int:
        """How many show it, each member of a cohort counted."""
        return len(answer.watchers) + self.cohorts.showing(answer)

    async def _successor(self, old: Answer) -> Leap | None:
        """The way from a retired answer to what is true now, if it is the same for everybody who shows it."""
        target, question = self.position, msgspec.structs.replace(old.question, journal=old.result.journal)
        try:
            new = await self.answer(question, cast(C, old.caller), target)
        except (SnapshotGone, StoreUnavailable):
            return None
        leap = Leap(old, new, target, self._clock())
        if new.facets != old.facets or not leap.is_whole:
            return None
        self.watch(new, leap, 0)
        return leap if new.is_current else None

    def _arrived(self, leap: Leap) -> None:
        self.unwatch(leap.new, leap, 0)
        self.cohorts.over(leap)

    def _moved(self) -> None:
        self.moved_at = self._clock()
        self.alarms.moved()

    def find(self, question: Question, caller: C, ts: Timestamp) -> Answer | None:
        """What the query returns for this caller at `ts`, if that is known already."""
        return self.answers.find(question, caller, ts)

    async def answer(self, question: Question, caller: C, ts: Timestamp) -> Answer:
        """What the query returns for this caller at `ts`: a valid answer that is there already, or one execution for all.

        Raises `SnapshotGone` and `StoreUnavailable`.
        """
        may_wait = True
        while True:
            found = self.answers.find(question, caller, ts)
            if found is not None:
                return found
            # Until a run has shown what the function looks at, everybody is taken to see the same.
            asked = question, self.answers.facets(caller, self._looked_at.get(question.path, frozenset()))
            earlier = self._flights.earlier(asked, ts)
            if may_wait and earlier is not None:
                may_wait = False  # once: an answer that changes all the time could make us wait for ever
                await self._flights.landing(earlier)
                continue
            answer = await asyncio.shield(self._flights.board(asked, ts, partial(self._run, question, caller, ts)))
            if self.answers.fits(answer, caller) and not answer.expired:
                return answer

    async def _run(self, question: Question, caller: C, ts: Timestamp) -> Answer:
        async with self._flights.slot():
            found = self.answers.find(question, caller, ts)
            if found is not None:  # while we waited for the slot
                return found
            began = self._clock()
            evaluated = await self._evaluate(question, caller, ts)
            cost = Cost(began, self._clock() - began, evaluated.documents, evaluated.is_adopted)
        self.executions += not evaluated.is_adopted
        reads = evaluated.reads
        self._looked_at[question.path] = self._looked_at.get(question.path, frozenset()) | reads.facets
        answer = Answer(question, caller, self.answers.facets(caller, reads.facets), ts, evaluated.result, reads)
        answer.run = self.history.remember(question.path, question.arguments, answer.facets, ts, reads, cost)
        self._hold_against(answer)
        if answer.is_current:
            answer = self.answers.add(answer)
            self._remember_deadline(answer)
        return answer

    def _hold_against(self, answer: Answer) -> None:
        """Find the first commit since the answer that is in the log already and meets it. Raises `SnapshotGone`."""
        try:
            commit = self.log.first_meeting(answer.reads, answer.ts)
        except LogGap as gap:
            raise SnapshotGone(str(gap)) from gap
        if commit is not None:
            answer.stale_at, answer.stale_since = commit.ts, commit.at
            answer.run.end("commit", commit.ts, commit.writes, 0)

    def _remember_deadline(self, answer: Answer) -> None:
        if answer.reads.deadline is not None and not answer.timed:
            answer.timed = True
            heapq.heappush(self._deadlines, (answer.reads.deadline, next(self._serial), answer))
            if len(self._deadlines) > 2 * len(self.answers) + MAX_SPENT_DEADLINES:
                self._deadlines = [each for each in self._deadlines if each[2].is_current]
                heapq.heapify(self._deadlines)
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._deadlines and not self._deadlines[0][2].is_current:
            heapq.heappop(self._deadlines)
        if self._deadlines:
            wait = min(MAX_TIMER_S, max(0.0, (self._deadlines[0][0] - self._clock()) / 1_000))
            self._timer = asyncio.get_running_loop().call_later(wait, self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        now = self._clock()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, _, answer = heapq.heappop(self._deadlines)
            if answer.is_current:
                self._retire(answer, "time")
        self._set_timer()

    def watch(self, answer: Answer, watcher: Watcher, query_id: int) -> None:
        """`watcher` shows this answer; it is told when the answer is no longer the newest."""
        if answer.is_current and not self.answers.follows(answer):
            self._catch_up(answer)
        self.answers.watch(answer, watcher, query_id)
        if answer.is_current:
            self._remember_deadline(answer)

    def _catch_up(self, answer: Answer) -> None:
        """Hold what was committed meanwhile against an answer that nobody followed."""
        try:
            self._hold_against(answer)
        except SnapshotGone:
            answer.expired = True

    def unwatch(self, answer: Answer, watcher: Watcher, query_id: int) -> None:
        """It no longer does."""
        self.answers.unwatch(answer, watcher, query_id)

    def watch_reads(self, reads: ReadSet, ts: Timestamp, watcher: Watcher) -> Answer:
        """Tell `watcher` once when what was read at `ts` may have changed; `unwatch` the returned answer to stop that."""
        answer = Answer(Question("", b"", None), None, (), ts, _NOTHING, reads)
        self.watch(answer, watcher, 0)
        return answer

    async def close(self) -> None:
        """Stop what runs. Nobody is told; sockets are closed by their owners."""
        self.alarms.close()
        if self._timer is not None:
            self._timer.cancel()
        await self.fan_outs.close()
        await self._flights.close()
