"""The cohorts of a process: who has leapt to the same view over the same kind of line is gathered into one.

Invariant: a cohort has members and watches the answers that it shows; under one key stands at most one, and whoever is at that
key's view may join it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Protocol, TypeAlias

from subscriptions.answers import Answer
from subscriptions.cohort import Cohort, Seat, View
from subscriptions.leap import Leap
from subscriptions.seams import Line
from subscriptions.version import StateVersion

FEW_MEMBERS = 8
"""Fewer are not worth a cohort."""

Key: TypeAlias = tuple[Hashable, StateVersion, frozenset[tuple[int, Answer]]]
Crowd: TypeAlias = tuple[Cohort, int]
"""A cohort, and as which of its queries its members show an answer."""


class Candidate(Seat, Protocol):
    """A socket that has just leapt and may go on in company."""

    def is_still_at(self, view: View) -> bool:
        """Has nothing happened to it since it got there?"""
        ...

    def seated(self) -> None:
        """It is a member now: the cohort watches in its place."""
        ...


class Cohorts:
    """Finds the cohort for a socket, and founds one where enough are at one view."""

    __slots__ = ("_companies", "_keys", "_open", "_showing", "_unwatch", "_watch")

    def __init__(
        self, watch: Callable[[Answer, Cohort, int], None], unwatch: Callable[[Answer, Cohort, int], None]
    ) -> None:
        self._watch, self._unwatch = watch, unwatch
        self._open: dict[Key, Cohort] = {}
        self._keys: dict[Cohort, Key] = {}
        self._showing: dict[Answer, set[Crowd]] = {}
        self._companies: dict[Leap, dict[Key, list[tuple[Candidate, Line]]]] = {}

    def __repr__(self) -> str:
        return f"<Cohorts: {len(self)}, with {self.members} members>"

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def members(self) -> int:
        """How many sockets are led in company."""
        return sum(map(len, self._keys))

    def gather(self, candidate: Candidate, line: Line, leap: Leap, view: View) -> None:
        """Somebody has leapt to this view: into the company of those who are there too, if they are many."""
        if line.kind is None or not all(answer.is_current for answer in view.shown.values()):
            return
        key = _key(line.kind, view)
        cohort = self._open.get(key)
        if cohort is None:
            companies = self._companies.setdefault(leap, {})
            companies.setdefault(key, []).append((candidate, line))
            company = [each for each in companies[key] if each[0].is_still_at(view)]
            if len(company) >= FEW_MEMBERS:
                del companies[key]
                cohort = self._found(key, View(view.version, dict(view.shown)), line)
                for member, its_line in company:
                    _seat(cohort, member, its_line)
        else:
            _seat(cohort, candidate, line)

    def over(self, leap: Leap) -> None:
        """Nobody takes this leap any more."""
        self._companies.pop(leap, None)

    def showing(self, answer: Answer) -> int:
        """How many more show it than the cohorts that watch it."""
        return sum(len(cohort) - 1 for cohort, _ in self._showing.get(answer, ()))

    def retired(self, answer: Answer) -> set[Crowd]:
        """The answer is no longer current: who showed it and has to be led on."""
        return self._showing.pop(answer, set())

    def led(self, cohort: Cohort) -> None:
        """It is on its way to another view; who gets there alone may join it on the way."""
        self._close(cohort)
        key = self._keys[cohort] = _key(cohort.kind, cohort.view)
        self._open.setdefault(key, cohort)

    def twin(self, cohort: Cohort) -> Cohort | None:
        """Another one that can be joined from where this one is."""
        other = self._open.get(_key(cohort.kind, cohort.view))
        return None if other is cohort else other

    def show(self, cohort: Cohort, query_id: int, answer: Answer) -> None:
        """The members show this current answer now."""
        self._showing.setdefault(answer, set()).add((cohort, query_id))
        self._watch(answer, cohort, query_id)

    def _found(self, key: Key, view: View, line: Line) -> Cohort:
        cohort = self._open[key] = Cohort(line.kind, view, line.row(), self._emptied)
        self._keys[cohort] = key
        for query_id, answer in view.shown.items():
            self.show(cohort, query_id, answer)
        return cohort

    def _emptied(self, cohort: Cohort) -> None:
        self._close(cohort)
        del self._keys[cohort]
        for query_id, answer in cohort.view.shown.items():
            self._unwatch(answer, cohort, query_id)
            crowds = self._showing.get(answer, set())
            crowds.discard((cohort, query_id))
            if not crowds:
                self._showing.pop(answer, None)

    def _close(self, cohort: Cohort) -> None:
        key = self._keys[cohort]
        if self._open.get(key) is cohort:
            del self._open[key]


def _seat(cohort: Cohort, candidate: Candidate, line: Line) -> None:
    cohort.join(candidate, line)
    candidate.seated()


def _key(kind: Hashable, view: View) -> Key:
    return kind, view.version, frozenset(view.shown.items())
