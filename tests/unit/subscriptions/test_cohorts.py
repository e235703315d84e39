"""Who is gathered into a cohort, who is not, and what the registry forgets."""

from __future__ import annotations

import pytest
from msgspec import Raw

from schema.readset import ReadSet
from schema.values import Timestamp
from subscriptions.answers import Answer, Question
from subscriptions.cohort import Cohort, View
from subscriptions.cohorts import FEW_MEMBERS, Cohorts
from subscriptions.effects import Value
from subscriptions.leap import Leap
from subscriptions.version import StateVersion
from tests.support.virtual import MemoryLine

QUERY = 0


class Candidate:
    """One who has leapt."""

    def __init__(self, view: View, *, is_quiet: bool = True) -> None:
        self.cohort: Cohort | None = None
        self.place = -1
        self.line = MemoryLine()
        self.view, self.is_quiet = view, is_quiet
        self.seats_taken = 0

    def is_still_at(self, view: View) -> bool:
        return self.is_quiet and view.version == self.view.version

    def seated(self) -> None:
        self.seats_taken += 1

    def go_alone(self) -> None:
        assert self.cohort is not None
        self.cohort.leave(self)


class Site:
    """A registry, and what it watches."""

    def __init__(self) -> None:
        self.watched: set[tuple[Answer, Cohort, int]] = set()
        self.cohorts = Cohorts(
            lambda *watch: self.watched.add(watch),
            lambda *watch: self.watched.discard(watch),
        )
        self.leap = Leap(answer(1), answer(2), Timestamp(2), 0.0)

    @property
    def view(self) -> View:
        return View(StateVersion(1, 0, Timestamp(2)), {QUERY: self.leap.new})

    def gather(self, count: int, *, is_quiet: bool = True) -> list[Candidate]:
        candidates = [Candidate(self.view, is_quiet=is_quiet) for _ in range(count)]
        for each in candidates:
            self.cohorts.gather(each, each.line, self.leap, each.view)
        return candidates


def answer(at: int) -> Answer:
    return Answer(Question("m:f", b"{}", None), None, (), Timestamp(at), Value(Raw(b"1"), b"%d" % at), ReadSet())


def the_cohort(candidates: list[Candidate]) -> Cohort:
    (cohort,) = {each.cohort for each in candidates}
    assert cohort is not None
    return cohort


def test_few_stay_alone_and_many_go_together() -> None:
    site = Site()
    few = site.gather(FEW_MEMBERS - 1)
    assert (len(site.cohorts), {each.cohort for each in few}) == (0, {None})
    everybody = [*few, *site.gather(3)]
    cohort = the_cohort(everybody)
    assert {each.seats_taken for each in everybody} == {1}
    assert site.watched == {(site.leap.new, cohort, QUERY)}
    assert (site.cohorts.members, site.cohorts.showing(site.leap.new)) == (len(everybody), len(everybody) - 1)
    assert repr(site.cohorts) == f"<Cohorts: 1, with {len(everybody)} members>"


def test_who_has_had_something_else_to_do_since_is_left_out() -> None:
    site = Site()
    busy = site.gather(3, is_quiet=False)
    quiet = site.gather(FEW_MEMBERS)
    assert {each.cohort for each in busy} == {None}
    assert len(the_cohort(quiet)) == FEW_MEMBERS


@pytest.mark.parametrize("why", ["an answer is stale", "a line cannot be in a row"])
def test_nobody_is_gathered_who(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    if why == "an answer is stale":
        site.leap.new.stale_at = Timestamp(3)
    else:
        monkeypatch.setattr(MemoryLine, "kind", None)
    site.gather(2 * FEW_MEMBERS)
    assert len(site.cohorts) == 0


def test_a_company_is_forgotten_with_its_leap() -> None:
    site = Site()
    site.gather(FEW_MEMBERS - 1)
    site.cohorts.over(site.leap)
    site.gather(FEW_MEMBERS - 1)
    assert len(site.cohorts) == 0


def test_who_leaps_alone_joins_those_who_are_on_their_way() -> None:
    site = Site()
    cohort = the_cohort(site.gather(FEW_MEMBERS))
    assert site.cohorts.retired(site.leap.new) == {(cohort, QUERY)}
    assert site.cohorts.showing(site.leap.new) == 0
    site.leap = Leap(site.leap.new, answer(3), Timestamp(3), 0.0)
    assert cohort.lead(QUERY, site.leap, 0.0)
    site.cohorts.led(cohort)
    late = Candidate(View(StateVersion(1, 0, Timestamp(3)), {QUERY: site.leap.new}))
    site.cohorts.gather(late, late.line, site.leap, late.view)
    assert late.cohort is cohort
    assert not cohort.carry(FEW_MEMBERS)
    assert late.line.sent == [], "it has leapt already"
    assert site.cohorts.twin(cohort) is None


def test_two_that_have_come_to_one_view_find_each_other() -> None:
    site = Site()
    behind = the_cohort(site.gather(FEW_MEMBERS))
    first = site.leap
    site.leap = Leap(first.new, answer(3), Timestamp(3), 0.0)
    ahead = [Candidate(View(StateVersion(1, 0, Timestamp(3)), {QUERY: site.leap.new})) for _ in range(FEW_MEMBERS)]
    for each in ahead:
        site.cohorts.gather(each, each.line, site.leap, each.view)
    assert behind.lead(QUERY, site.leap, 0.0)
    site.cohorts.led(behind)
    while behind.carry(3):
        assert site.cohorts.twin(behind) is the_cohort(ahead)
    assert not behind.move(the_cohort(ahead), 2 * FEW_MEMBERS)
    assert (len(site.cohorts), site.cohorts.members) == (1, 2 * FEW_MEMBERS)


def test_nothing_is_left_of_a_cohort_without_members() -> None:
    site = Site()
    candidates = site.gather(FEW_MEMBERS + 1)
    the_cohort(candidates).invalidated(QUERY)
    assert {each.cohort for each in candidates} == {None}
    assert (len(site.cohorts), site.watched, site.cohorts.showing(site.leap.new)) == (0, set(), 0)
    assert len(the_cohort(site.gather(FEW_MEMBERS))) == FEW_MEMBERS
