"""The log: the newest commits in commit order, and how far that order is complete.

Invariant: every commit above the floor and at or below `position` is in the window, once, in order. What lies at or
below the floor has been let go of, because the window is bounded or because history was lost.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import attrgetter

from schema.readset import Commit, ReadSet
from schema.values import Timestamp
from subscriptions.errors import LogGap
from subscriptions.touches import Touches

MAX_COMMITS = 10_000

_TS = attrgetter("ts")


class Log:
    """A bounded window of commits. Only appending moves it; who waits for that is not its business."""

    __slots__ = ("_commits", "_floor", "_max_commits", "_position", "_touches", "touched")

    def __init__(self, start: Timestamp, max_commits: int = MAX_COMMITS) -> None:
        if max_commits < 1:
            raise ValueError("a log holds at least one commit")
        self._commits: list[Commit] = []
        self._touches = Touches()
        self._max_commits = max_commits
        self.touched = 0
        """How many keys the commits of the window have touched."""
        self._floor = self._position = start

    def __repr__(self) -> str:
        return f"<Log at {self._position}, {len(self._commits)} of {self._max_commits} commits since {self._floor}>"

    def __len__(self) -> int:
        return len(self._commits)

    @property
    def position(self) -> Timestamp:
        """Everything at or below it has been appended, or declared lost."""
        return self._position

    def append(self, commits: Sequence[Commit], position: Timestamp) -> None:
        """Add commits and say how far the log is complete now. Out of order: `ValueError`, and nothing has changed."""
        self._check_forward(position)
        newest = self._position
        for commit in commits:
            if not newest < commit.ts <= position:
                raise ValueError(f"a commit at {commit.ts} cannot follow {newest} in a log that ends at {position}")
            newest = commit.ts
        self._commits.extend(commits)
        for commit in commits:
            self._touches.add(commit)
            self.touched += len(commit.writes.touches)
        self._position = position
        excess = len(self._commits) - self._max_commits
        if excess > 0:
            self._floor = self._commits[excess - 1].ts
            for commit in self._commits[:excess]:
                self._touches.drop(commit)
                self.touched -= len(commit.writes.touches)
            del self._commits[:excess]

    def since(self, ts: Timestamp) -> Sequence[Commit]:
        """The commits above `ts`, oldest first. Raises `LogGap` when some of them may have been let go of."""
        if ts < self._floor:
            raise LogGap(ts, self._floor)
        if not self._commits or self._commits[-1].ts <= ts:
            return ()
        return self._commits[bisect_right(self._commits, ts, key=_TS) :]

    def first_meeting(self, reads: ReadSet, ts: Timestamp) -> Commit | None:
        """The first commit above `ts` that meets what was read. Raises `LogGap` when it may have been let go of."""
        if ts < self._floor:
            raise LogGap(ts, self._floor)
        met_at = self._touches.first_since(ts, reads)
        return None if met_at is None else self._commits[bisect_left(self._commits, met_at, key=_TS)]

    def gap(self, position: Timestamp) -> None:
        """Declare that commits up to `position` may be missing; from now on only `since(position)` and above answer."""
        self._check_forward(position)
        self._commits.clear()
        self._touches.clear()
        self.touched = 0
        self._floor = self._position = position

    def _check_forward(self, position: Timestamp) -> None:
        if position < self._position:
            raise ValueError(f"the log is at {self._position} and cannot go back to {position}")
