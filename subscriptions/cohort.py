"""A cohort: sockets that show the same at the same version and have nothing else to tell, led from answer to answer as one.

Taking a leap socket by socket costs more for looking at ten thousand objects that no cache holds than for ten thousand writes.
Here what the members have in common is kept once, and a member is not looked at while the cohort is led.

Invariant: during a leap the seats below `_reached` are where it leads and all others where it began, else all are at one view.
Whoever has anything to do with a member takes it out first (`leave`), and is told where its client is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol

import msgspec

from subscriptions.answers import Answer
from subscriptions.leap import Leap
from subscriptions.push import Push
from subscriptions.seams import Line, Row
from subscriptions.version import StateVersion


class View(msgspec.Struct, frozen=True, eq=False):
    """What a client was last moved to, and the answers that it shows there, by query."""

    version: StateVersion
    shown: Mapping[int, Answer]


class Seat(Protocol):
    """A member: knows its cohort and where in it it sits."""

    cohort: Cohort | None
    place: int

    def go_alone(self) -> None:
        """Leave, and find out by itself what there is to do."""
        ...


class Cohort:
    """Members in a row, and the lines to them in the same order. `emptied` is told when the last has left."""

    __slots__ = ("_ahead", "_emptied", "_here", "_push", "_reached", "_row", "_seats", "kind", "spoken_at", "turn")

    def __init__(self, kind: Hashable, here: View, row: Row[Any], emptied: Callable[[Cohort], None]) -> None:
        self.kind, self._here, self._row, self._emptied = kind, here, row, emptied
        self._ahead: View | None = None
        self._push = Push(b"")
        self._reached = 0
        self._seats: list[Seat] = []
        self.spoken_at = 0.0
        """When its members last heard something, in the loop's time."""
        self.turn = asyncio.Lock()
        """Held by whoever leads it: one at a time."""

    def __len__(self) -> int:
        return len(self._seats)

    def __repr__(self) -> str:
        way = "" if self._ahead is None else f", {self._reached} of them at {self._ahead.version.ts}"
        return f"<Cohort of {len(self)} at {self._here.version.ts}{way}>"

    @property
    def view(self) -> View:
        """Where somebody has to be to join: where the leap under way leads, if there is one."""
        return self._ahead or self._here

    @property
    def behind(self) -> int:
        """How many the leap under way has still to bring along."""
        return 0 if self._ahead is None else len(self._seats) - self._reached

    def join(self, seat: Seat, line: Line) -> None:
        """Take in a socket that is at `view`, over a line of this kind that takes frames."""
        seat.cohort, seat.place = self, len(self._seats)
        self._seats.append(seat)
        self._row.append(line)
        if self._ahead is not None:
            self._swap(seat.place, self._reached)
            self._reached += 1

    def leave(self, seat: Seat) -> View:
        """Let go of a member; where its client is."""
        view, _ = self._let_go(seat)
        if not self._seats:
            self._emptied(self)
        return view

    def _let_go(self, seat: Seat) -> tuple[View, Line]:
        place, view = seat.place, self._here
        if self._ahead is not None and place < self._reached:
            view = self._ahead
            self._reached -= 1
            self._swap(place, self._reached)
            place = self._reached
        self._swap(place, len(self._seats) - 1)
        self._seats.pop()
        seat.cohort = None
        return view, self._row.pop()

    def lead(self, query_id: int, leap: Leap, now: float) -> bool:
        """Begin a leap; false when that is not all there is to do and each has to go alone. `now` is the loop's time."""
        version, shown = self._here.version, self._here.shown
        if leap.target < version.ts or shown.get(query_id) is not leap.old:
            return False
        if not all(answer.valid_at(leap.target) for each, answer in shown.items() if each != query_id):
            return False
        after = {**shown, query_id: leap.new}
        if leap.is_silent:
            self._here = View(version, after)
            return True
        if leap.says_nothing:
            return False
        end, self._push = leap.step(version, query_id)
        self._ahead, self._reached, self.spoken_at = View(end, after), 0, now
        return True

    def carry(self, count: int) -> bool:
        """Bring so many more to where the leap leads; false once all are there."""
        if self._ahead is None:
            return False
        start, self._reached = self._reached, min(self._reached + count, len(self._seats))
        for finish in self._row.write(self._push, start, self._reached):
            finish()
        if self._reached < len(self._seats):
            return True
        self._here, self._ahead, self._reached = self._ahead, None, 0
        return False

    def move(self, other: Cohort, count: int) -> bool:
        """Hand so many over to a cohort that can be joined from here; false once nobody is left."""
        for seat in self._seats[: -count - 1 : -1]:
            other.join(seat, self._let_go(seat)[1])
        if not self._seats:
            self._emptied(self)
        return bool(self._seats)

    def shed(self, count: int) -> bool:
        """Let so many go alone; false once nobody is left."""
        for seat in self._seats[: -count - 1 : -1]:
            seat.go_alone()
        return bool(self._seats)

    def invalidated(self, query_id: int) -> None:
        """An answer is no longer the newest and nobody leads: each goes alone."""
        self.shed(len(self._seats))

    def _swap(self, one: int, other: int) -> None:
        if one != other:
            seats = self._seats
            seats[one], seats[other] = seats[other], seats[one]
            seats[one].place, seats[other].place = one, other
            self._row.swap(one, other)
