"""History: the newest executions of every query function, and why each of them took place.

Invariant: bounded, whatever is asked. Remembering is a few attributes set; what met what is worked out when somebody asks, from
the commit where it was small, else from the log, as long as the log has it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import islice
from typing import Literal, TypeAlias

import msgspec

from schema.keys import Key, KeyRange
from schema.readset import ReadSet, WriteSet
from schema.values import ZERO, Millis, Timestamp
from subscriptions.errors import LogGap
from subscriptions.log import Log

RUNS_PER_PATH = 20
ASKERS_PER_PATH = 64
"""Of so many askers of one function it is known why their answer ended; a run for anybody else looks like a first one."""
MAX_PATHS = 256
MAX_RANGES = 64
MAX_TOUCHES_KEPT = 16
"""Larger write sets are not held on to: they are in the log for a while anyway."""
MAX_TOUCHES_SOUGHT = 10_000
MAX_ARGUMENT_BYTES = 512

NOTHING = WriteSet()

Asker: TypeAlias = tuple[tuple[str, "str | None"], ...]
"""The facets of whoever asked, as far as the function looked at them."""

Reason: TypeAlias = Literal["first", "again", "commit", "time", "gap"]
"""Asked for the first time; asked again after its answer was let go of; a commit, the time or lost history ended its answer."""


class Met(msgspec.Struct, frozen=True):
    """A range that was read, and the first key in it that a commit touched; no key where only the table is known."""

    keys: KeyRange
    key: Key | None


class Cost(msgspec.Struct, frozen=True):
    """When an execution began, how long it took, how many documents it read; adopted if another process did."""

    at: Millis
    took_ms: float
    documents: int
    is_adopted: bool = False


class Told(msgspec.Struct, frozen=True):
    """One execution as it is told: what it read, who shared its answer, and why it took place.

    `ranges` are the first of `range_count`. `shown_to` is how many showed the answer when it ended, None while it has not.
    `met` is unknown where the log has let go of the commit at `because_ts`.
    """

    cost: Cost
    ts: Timestamp
    arguments: str
    asker: Asker
    ranges: tuple[KeyRange, ...]
    range_count: int
    shown_to: int | None
    reason: Reason
    because_ts: Timestamp | None
    met: Met | None


class Ending(msgspec.Struct, frozen=True):
    """What ended an answer, and what it had read."""

    reason: Reason
    ts: Timestamp | None = None
    writes: WriteSet = NOTHING
    ranges: tuple[KeyRange, ...] = ()


FIRST, AGAIN = Ending("first"), Ending("again")


class Run:
    """One execution: what it cost, what it read, what it followed, and what ended its answer."""

    __slots__ = (
        "_ended", "_ended_at", "_writes", "arguments", "asker", "because", "cost", "range_count", "ranges", "shown_to", "ts",
    )  # fmt: skip

    def __init__(
        self, arguments: bytes, asker: Asker, ts: Timestamp, reads: ReadSet, cost: Cost, because: Ending
    ) -> None:
        self.arguments, self.asker, self.ts = arguments[:MAX_ARGUMENT_BYTES], asker, ts
        self.range_count, self.ranges = len(reads.ranges), reads.ranges[:MAX_RANGES]
        self.cost, self.because = cost, because
        self._ended: Reason | None = None
        self._ended_at: Timestamp | None = None
        self._writes = NOTHING
        self.shown_to: int | None = None

    def __repr__(self) -> str:
        return f"<Run at {self.ts}, {self.because.reason}, {self.range_count} ranges>"

    def end(self, reason: Reason, ts: Timestamp | None, writes: WriteSet, shown_to: int) -> None:
        """Its answer is no longer current; what is said first counts. On the way of every commit: it only takes notes."""
        if self._ended is None:
            self._ended, self._ended_at, self.shown_to = reason, ts, shown_to
            if len(writes.touches) <= MAX_TOUCHES_KEPT:
                self._writes = writes

    @property
    def ending(self) -> Ending:
        """What ended its answer; that it was let go of, where nothing is known to have."""
        return AGAIN if self._ended is None else Ending(self._ended, self._ended_at, self._writes, self.ranges)


NEVER_RAN = Run(b"", (), ZERO, ReadSet(), Cost(0.0, 0.0, 0), FIRST)
"""Stands where nothing is to be remembered; it has ended, so it never holds on to anything."""
NEVER_RAN.end("again", None, NOTHING, 0)


class History:
    """The newest runs by path. What read nothing is not remembered: it cannot change, and has no reason to run."""

    __slots__ = ("_log", "_paths")

    def __init__(self, log: Log) -> None:
        self._log = log
        self._paths: OrderedDict[str, _Path] = OrderedDict()

    def __repr__(self) -> str:
        return f"<History of {len(self._paths)} functions>"

    def remember(self, path: str, arguments: bytes, asker: Asker, ts: Timestamp, reads: ReadSet, cost: Cost) -> Run:
        """Another execution of the function at `path`."""
        if not reads.ranges:
            return NEVER_RAN
        known = self._paths.get(path)
        if known is None:
            known = self._paths[path] = _Path()
            if len(self._paths) > MAX_PATHS:
                self._paths.popitem(last=False)
        return known.remember(arguments, asker, ts, reads, cost)

    def told(self, path: str) -> list[Told]:
        """The runs of this function that are remembered, the newest first."""
        known = self._paths.get(path)
        return [] if known is None else [self._tell(run) for run in reversed(known.runs)]

    def _tell(self, run: Run) -> Told:
        because = run.because
        writes = because.writes
        if writes is NOTHING and because.ts is not None:
            writes = self._writes_at(because.ts)
        return Told(
            cost=run.cost,
            ts=run.ts,
            arguments=run.arguments.decode(errors="replace"),
            asker=run.asker,
            ranges=run.ranges,
            range_count=run.range_count,
            shown_to=run.shown_to,
            reason=because.reason,
            because_ts=because.ts,
            met=meeting(because.ranges, writes),
        )

    def _writes_at(self, ts: Timestamp) -> WriteSet:
        try:
            commits = self._log.since(Timestamp(ts - 1))
        except LogGap:
            return NOTHING
        return commits[0].writes if commits and commits[0].ts == ts else NOTHING


class _Path:
    """The newest runs of one function, and the newest of each asker."""

    __slots__ = ("newest", "runs")

    def __init__(self) -> None:
        self.runs: deque[Run] = deque(maxlen=RUNS_PER_PATH)
        self.newest: OrderedDict[tuple[bytes, Asker], Run] = OrderedDict()

    def __repr__(self) -> str:
        return f"<_Path {len(self.runs)} runs, {len(self.newest)} askers>"

    def remember(self, arguments: bytes, asker: Asker, ts: Timestamp, reads: ReadSet, cost: Cost) -> Run:
        """Another run, and what ended the one before it."""
        short = arguments if len(arguments) <= MAX_ARGUMENT_BYTES else hashlib.blake2b(arguments).digest()
        before = self.newest.pop((short, asker), None)
        run = Run(arguments, asker, ts, reads, cost, FIRST if before is None else before.ending)
        self.runs.append(run)
        self.newest[short, asker] = run
        if len(self.newest) > ASKERS_PER_PATH:
            self.newest.popitem(last=False)
        return run


def meeting(ranges: Sequence[KeyRange], writes: WriteSet) -> Met | None:
    """The first range that the write set meets, and the first key by which it does. None if that lies beyond our bounds."""
    for keys in ranges:
        if keys.table in writes.tables:
            return Met(keys, None)
    met: dict[int, Key] = {}
    for touch in islice(writes.touches, MAX_TOUCHES_SOUGHT):
        for place, keys in enumerate(ranges):
            if keys.table == touch.table and keys.index == touch.index and keys.contains(touch.key):
                met[place] = min(met.get(place, touch.key), touch.key)
    return Met(ranges[min(met)], met[min(met)]) if met else None
