"""A database of counters that forgets nothing, and one socket to it: what the oracle of the sync machine stands on."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Literal

import msgspec
from msgspec import Raw

from schema.values import ZERO, Timestamp
from subscriptions.effects import Failure, Refresh, Result, RunAction, RunMutation, Value
from subscriptions.sync import SyncMachine

ANYONE = "anyone"
KEYS = ("a", "b")
QUERIES = ("counter:read", "counter:mine", "counter:pinned", "counter:picky")


class Store:
    """Every version of every counter. `position` is how far the log has told of them."""

    def __init__(self) -> None:
        self.now = Timestamp(1)
        self.history: dict[str, list[tuple[Timestamp, int]]] = {key: [(ZERO, 0)] for key in KEYS}
        self.commits: list[tuple[Timestamp, str]] = []
        self.untold: deque[tuple[Timestamp, str]] = deque()
        self.position = Timestamp(1)

    def at(self, key: str, ts: Timestamp) -> int:
        return next(count for then, count in reversed(self.history[key]) if then <= ts)

    def commit(self, key: str) -> Timestamp:
        self.now = Timestamp(self.now + 1)
        self.history[key].append((self.now, self.at(key, self.now) + 1))
        self.commits.append((self.now, key))
        self.untold.append((self.now, key))
        return self.now

    def lag(self, count: int) -> None:
        """Another process takes over, whose log is `count` commits behind this one's."""
        told = [ts for ts, _ in self.commits if ts <= self.position]
        self.position = Timestamp(([1] * (count + 1) + told)[-1 - count])
        self.untold = deque((ts, key) for ts, key in self.commits if ts > self.position)

    def run(self, path: str, key: str, caller: str, ts: Timestamp, journal: str | None) -> Result:
        count = self.at(key, ts)
        if path == "counter:picky" and count % 3 == 0:
            return Failure("three again", None, _digest("three again"))
        if path == "counter:pinned":  # a page that keeps the end it had when it was first read
            journal = journal or str(count + 1)
            count = min(count, int(journal))
        answer = f"{caller}:{count // 2}" if path == "counter:mine" else str(count)  # equal answers happen
        return Value(Raw(msgspec.json.encode(answer)), _digest(answer), journal)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


class Connection:
    """One socket with both its ends: what travels, and what the server is about to do for it."""

    def __init__(self) -> None:
        self.machine: SyncMachine[str] = SyncMachine(ANYONE)
        self.upstream: deque[bytes] = deque()
        self.downstream: deque[bytes] = deque()
        self.claims: deque[str] = deque()
        self.mutation: RunMutation[str] | None = None
        self.stage: Literal["running", "committing", "committed"] = "running"
        self.committed: Timestamp = ZERO
        self.actions: list[RunAction[str]] = []
        self.refresh: Refresh[str] | None = None
        self.callers = [ANYONE]  # by version of the identity
        self.query_sets: dict[int, int] = {}  # query id: version of the query set that brought it
        self.sent_query_set = 0
        self.answered = self.promised = ZERO
        self.first, self.late = True, False
        self.over = False
