"""A cohort against the plain account of it: a list of members, each with a view of its own and the frames it got.

Members come and go at any point of a leap, some of them because their line fills in the middle of it.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import Raw

from schema.readset import ReadSet
from schema.values import Timestamp
from subscriptions.answers import Answer, Question
from subscriptions.cohort import Cohort, View
from subscriptions.effects import Value
from subscriptions.leap import Leap
from subscriptions.version import StateVersion
from tests.support.virtual import MemoryLine, MemoryRow

QUERY, OTHER = 4, 5


def answer(at: int, said: int) -> Answer:
    value = Value(Raw(b"%d" % said), b"%d" % said)
    return Answer(Question("m:f", b"{}", None), None, (), Timestamp(at), value, ReadSet())


class Member:
    """What a client of its own would know."""

    def __init__(self, view: View) -> None:
        self.cohort: Cohort | None = None
        self.place = -1
        self.view = view
        self.line = MemoryLine()
        self.line.notify(lambda: None, self.go_alone)
        self.left_at: View | None = None

    def go_alone(self) -> None:
        if self.cohort is not None:
            self.left_at = self.cohort.leave(self)


class CohortMachine(RuleBasedStateMachine):
    """Two cohorts, of which one may be handed over to the other."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1
        self.other = answer(0, 0)
        here = View(StateVersion(1, 0, Timestamp(1)), {QUERY: answer(1, 1), OTHER: self.other})
        self.emptied: list[Cohort] = []
        self.cohort = Cohort("memory", here, MemoryRow(), self.emptied.append)
        self.here, self.ahead = here, here
        self.under_way: bytes | None = None
        self.members: list[Member] = []
        self.gone: list[Member] = []

    @rule(count=st.integers(1, 5))
    def some_join(self, count: int) -> None:
        for _ in range(count):
            member = Member(self.cohort.view)
            self.cohort.join(member, member.line)
            self.members.append(member)

    @precondition(lambda self: self.members)
    @rule(choice=st.integers(0, 99))
    def one_leaves(self, choice: int) -> None:
        self._gone(self.members[choice % len(self.members)])

    @precondition(lambda self: self.members and self.under_way is None)
    @rule(silent=st.booleans())
    def a_leap_begins(self, silent: bool) -> None:
        old, self.now = self.here.shown[QUERY], self.now + 1
        leap = Leap(old, answer(self.now, self.now - 1 if silent else self.now), Timestamp(self.now), 0.0)
        assert self.cohort.lead(QUERY, leap, 0.0)
        if leap.is_silent:
            version = self.here.version
            for member in self.members:
                member.view = self.cohort.view
        else:
            version, push = leap.step(self.here.version, QUERY)
            self.under_way = push.text
        self.ahead = View(version, {**self.here.shown, QUERY: leap.new})
        assert self.cohort.view.version == version
        assert self.cohort.view.shown == self.ahead.shown
        if leap.is_silent:
            self.here = self.ahead

    @precondition(lambda self: self.under_way is not None)
    @rule(count=st.integers(1, 4), full=st.sets(st.integers(0, 99), max_size=2))
    def it_goes_on(self, count: int, full: set[int]) -> None:
        for choice in full:
            if self.members:
                self.members[choice % len(self.members)].line.capacity = 1  # takes a part, then no more
        more = self.cohort.carry(count)
        assert more or all(self._has_arrived(member) for member in self._still())
        for member in list(self.members):
            if member.cohort is None:
                self.members.remove(member)
                self.gone.append(member)
                assert member.left_at is not None
                assert member.left_at.version == self.ahead.version, "what filled its line was the frame of this leap"
                assert member.line.sent[-1] == self.under_way
            else:
                member.line.capacity = None
        if not more:
            self.here, self.under_way = self.ahead, None

    @precondition(lambda self: self.members and self.under_way is None)
    @rule(count=st.integers(1, 3))
    def it_is_handed_over(self, count: int) -> None:
        view = self.cohort.view
        other = Cohort("memory", view, MemoryRow(), self.emptied.append)
        while self.cohort.move(other, count):
            self._in_order(self.cohort)
        assert self.emptied[-1] is self.cohort
        self.cohort, self.here = other, view

    @precondition(lambda self: self.members)
    @rule(count=st.integers(1, 3))
    def some_are_let_go(self, count: int) -> None:
        more = self.cohort.shed(count)
        left = [member for member in self.members if member.cohort is None]
        assert len(left) == min(count, len(self.members))
        for member in left:
            self._gone(member)
        assert more == bool(self.members)

    @invariant()
    def everybody_is_where_their_frames_say(self) -> None:
        self._in_order(self.cohort)
        assert len(self.cohort) == len(self.members)
        for member in self._still():
            assert len(set(member.line.sent)) == len(member.line.sent), "told twice"

    def _still(self) -> list[Member]:
        return [member for member in self.members if member.cohort is self.cohort]

    def _has_arrived(self, member: Member) -> bool:
        """Has this client what the leap under way says? It was told, or came to it by itself."""
        told = member.line.sent[-1:] == [self.under_way]
        return self.under_way is None or told or member.view.version == self.ahead.version

    def _in_order(self, cohort: Cohort) -> None:
        seats: list[Any] = cohort._seats
        row = cohort._row
        assert isinstance(row, MemoryRow)
        assert [seat.place for seat in seats] == list(range(len(seats)))
        assert [seat.line for seat in seats] == row.lines

    def _gone(self, member: Member) -> None:
        if member.cohort is not None:
            member.go_alone()
        self.members.remove(member)
        assert member.left_at is not None
        expected = self.ahead if self._has_arrived(member) else self.here
        assert member.left_at.version == expected.version
        assert member.left_at.shown == expected.shown
        if not self.members:
            assert self.emptied[-1] is self.cohort
            self._begin_anew()

    def _begin_anew(self) -> None:
        view = self.here if self.under_way is None else self.ahead
        self.cohort = Cohort("memory", view, MemoryRow(), self.emptied.append)
        self.here, self.ahead, self.under_way = view, view, None


CohortMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
TestCohort = CohortMachine.TestCase


def test_no_leap_is_begun_that_is_not_the_same_for_all() -> None:
    other = answer(1, 0)
    old = answer(1, 1)
    cohort = Cohort("memory", View(StateVersion(1, 0, Timestamp(5)), {QUERY: old, OTHER: other}), MemoryRow(), print)
    new = answer(6, 2)
    assert not cohort.lead(QUERY, Leap(old, new, Timestamp(4), 0.0), 0.0), "it would lead back"
    assert not cohort.lead(OTHER, Leap(old, new, Timestamp(6), 0.0), 0.0), "nobody shows what it leads from"
    other.stale_at = Timestamp(6)
    assert not cohort.lead(QUERY, Leap(old, new, Timestamp(6), 0.0), 0.0), "something else has changed by then"
    other.stale_at = Timestamp(7)
    journal = Answer(old.question, None, (), Timestamp(6), Value(Raw(b"1"), b"1", "another end"), ReadSet())
    assert not cohort.lead(QUERY, Leap(old, journal, Timestamp(6), 0.0), 0.0), "only the page's end has moved"
    assert cohort.lead(QUERY, Leap(old, new, Timestamp(6), 3.0), 3.0)
    assert cohort.spoken_at == 3.0
    assert repr(cohort) == "<Cohort of 0 at 5, 0 of them at 6>"
