"""A leap: the way from an answer to its successor, the same for every socket that shows the first and has nothing else to tell.

Invariant: whoever takes it holds at the leap's target afterwards; equal steps share one frame, encoded once.
"""

from __future__ import annotations

from typing import TypeAlias

from schema.values import Millis, Timestamp
from subscriptions.answers import Answer, Watching
from subscriptions.effects import Value
from subscriptions.push import Push
from subscriptions.query_set import told
from subscriptions.transition import MAX_WHOLE_BYTES, modification, transition
from subscriptions.version import START, StateVersion

ENVELOPE_BYTES = 1_024
MAX_FRAMES = 256
"""Frames kept for sockets that come from different moments; after one leap they all come from the same."""

Step: TypeAlias = tuple[StateVersion, Push]


class Leap:
    """From `old` to `new`, at `target`."""

    __slots__ = (
        "_query_id", "_start", "_step", "_steps", "is_silent", "new", "now", "old", "says_nothing", "target", "told",
    )  # fmt: skip

    def __init__(self, old: Answer, new: Answer, target: Timestamp, now: Millis) -> None:
        self.old, self.new, self.target, self.now = old, new, target, now
        self.told = told(new.result)
        self.says_nothing = self.told == told(old.result)
        self.is_silent = self.says_nothing and new.result.journal == old.result.journal
        """Does the new answer say what the old one said, to the same end? Then there is nothing to send."""
        self._steps: dict[tuple[StateVersion, int], Step] = {}
        self._start, self._query_id = START, -1
        self._step: Step = (START, Push(b""))

    def __repr__(self) -> str:
        return f"<Leap of {self.new.question.path} to {self.target}, {len(self._steps)} frames>"

    @property
    def is_whole(self) -> bool:
        """Does it fit into one frame?"""
        result = self.new.result
        said = result.value if isinstance(result, Value) else result.data
        return said is None or len(bytes(said)) < MAX_WHOLE_BYTES - ENVELOPE_BYTES

    def invalidated(self, query_id: int) -> None:
        """The successor has one itself. Its watchers are told; while the leap goes on it is one, lest it be let go of."""

    def step(self, start: StateVersion, query_id: int) -> Step:
        """Where a socket at `start` gets, and the frame that says so. The client's clock is of no interest here (3.2)."""
        # Those who leapt together last time share their version.
        if start is not self._start or query_id != self._query_id:
            self._start, self._query_id = start, query_id
            self._step = self._steps.get((start, query_id)) or self._encoded(start, query_id)
        return self._step

    def _encoded(self, start: StateVersion, query_id: int) -> Step:
        end = StateVersion(start.query_set, start.identity, self.target)
        frame = transition(start, end, [modification(query_id, self.new.result)], None, self.now)
        if len(self._steps) >= MAX_FRAMES:
            self._steps.clear()
        step = self._steps[start, query_id] = (end, Push(frame))
        return step


class Screen:
    """A watcher that can leap. Not an abstract class: those take five times as long to be recognised."""

    __slots__ = ()

    def leap(self, watching: Watching, leap: Leap) -> bool:
        """Go straight to the successor of the answer shown; false when that is not all there is to do."""
        raise NotImplementedError
