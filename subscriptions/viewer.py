"""The viewer: what one socket shows, alone or in company.

Invariant: whatever is shown is watched, by the socket itself or by its cohort; and nobody sees the machine of a member anywhere
but where its client is: every way to it passes `stand_up`.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Generic, TypeVar

from subscriptions.answers import Answer, Watching
from subscriptions.cohort import Cohort, View
from subscriptions.hub import Hub
from subscriptions.leap import Leap, Screen
from subscriptions.outbox import Outbox
from subscriptions.seams import Line
from subscriptions.sync import SyncMachine

C = TypeVar("C")


class Viewer(Screen, Generic[C]):
    """A socket as the hub sees it. Whoever drives the machine derives from it and says what `wake` does."""

    __slots__ = ("_hub", "_line", "_outbox", "_shown", "_sync", "cohort", "place", "quiet_until")

    def __init__(self, machine: SyncMachine[C], hub: Hub[C], line: Line, stuck_s: float) -> None:
        self._sync, self._hub, self._line = machine, hub, line
        self._outbox = Outbox(line, self.wake, self.stand_up, stuck_s)
        self._shown: dict[int, Answer] = {}
        self.quiet_until = -inf
        """Until when a leap is all there is to do here; the machine says so, and `wake` ends it."""
        self.cohort: Cohort | None = None
        self.place = 0

    def wake(self) -> None:
        """Something has happened; look at it in turn."""
        raise NotImplementedError

    @property
    def waiting_bytes(self) -> int:
        """What the client has been sent and not taken."""
        return self._outbox.waiting_bytes

    @property
    def machine(self) -> SyncMachine[C]:
        """The machine, where its client is."""
        self.stand_up()
        return self._sync

    def show(self, query_id: int, answer: Answer) -> None:
        """The client sees this answer now."""
        self._shown[query_id] = answer
        self._hub.watch(answer, self, query_id)

    def forget(self, query_ids: Iterable[int]) -> None:
        """What was shown for these will be replaced, or is not wanted any more."""
        for query_id in query_ids:
            before = self._shown.pop(query_id, None)
            if before is not None:
                self._hub.unwatch(before, self, query_id)

    def invalidated(self, query_id: int) -> None:
        """The answer shown for this query is no longer the newest (called by the hub)."""
        self.wake()

    def leap(self, watching: Watching, leap: Leap) -> bool:
        """Go to the successor of an answer, if nothing else is going on at this socket."""
        self.stand_up()
        shown, query_id = self._shown, watching[1]
        if leap.now >= self.quiet_until or shown.get(query_id) is not leap.old:
            return False
        if not leap.is_silent:
            if not self._outbox.open:
                return False
            if len(shown) > 1 and not all(shown[each].valid_at(leap.target) for each in shown if each != query_id):
                return False
            push = self._sync.leap(query_id, leap)
            if push is None:
                return False
            self._outbox.put(push)
        shown[query_id] = leap.new
        leap.new.watchers[watching] = None
        if self.quiet_until == inf and self._outbox.open:  # who has a token also has screens of their own
            self._hub.cohorts.gather(self, self._line, leap, View(self._sync.version, shown))
        return True

    def is_still_at(self, view: View) -> bool:
        """Has nothing happened here since the leap to this view?"""
        is_quiet = self.cohort is None and self.quiet_until == inf and self._outbox.open
        return is_quiet and self._sync.version == view.version and self._shown == view.shown

    def seated(self) -> None:
        """A member now: the cohort watches in its place."""
        self.forget(tuple(self._shown))

    def go_alone(self) -> None:
        """What there is to do is not the same for the whole cohort."""
        self.wake()

    def stand_up(self) -> None:
        """Leave the company, if there is any, and catch up with what happened in it."""
        if self.cohort is not None:
            view = self.cohort.leave(self)
            self._sync.carried(view.version, {query_id: answer.result for query_id, answer in view.shown.items()})
            for query_id, answer in view.shown.items():
                self.show(query_id, answer)
