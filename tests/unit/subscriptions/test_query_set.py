"""One socket's queries: versions, staleness, journals, digests."""

from __future__ import annotations

import pytest
from msgspec import Raw

from subscriptions.effects import Failure, Value
from subscriptions.errors import LocalProtocolError, RemoteProtocolError, TooMany, VersionMismatch
from subscriptions.protocol import Add, ModifyQuerySet, QueryFailed, QueryRemoved, QueryUpdated, Remove
from subscriptions.query_set import MAX_QUERIES, QuerySet, told

ARGS = Raw(b"{}")


def add(query_id: int, journal: str | None = None) -> Add:
    return Add(query_id, "m:f", ARGS, journal)


def value(text: str, journal: str | None = None) -> Value:
    return Value(Raw(f'"{text}"'.encode()), text.encode(), journal)


def modified(*edits: Add | Remove) -> QuerySet:
    queries = QuerySet()
    queries.modify(ModifyQuerySet(0, 1, edits))
    return queries


@pytest.mark.parametrize(("base", "new"), [(0, 2), (2, 3), (1, 1), (1, 0)])
def test_versions_only_move_on_from_the_one_held(base: int, new: int) -> None:
    queries = modified()
    with pytest.raises(RemoteProtocolError):
        queries.modify(ModifyQuerySet(base, new, ()))


def test_a_stale_base_version_is_a_mismatch() -> None:
    with pytest.raises(VersionMismatch):
        modified().modify(ModifyQuerySet(0, 1, ()))


@pytest.mark.parametrize("edits", [(add(0), add(0)), (Remove(7),), (add(0), Remove(0), Remove(0))])
def test_edits_that_make_no_sense_are_the_peers_mistake(edits: tuple[Add | Remove, ...]) -> None:
    with pytest.raises(RemoteProtocolError):
        modified(*edits)


def test_a_query_set_has_an_end() -> None:
    queries = modified(*(add(each) for each in range(MAX_QUERIES)))
    with pytest.raises(TooMany, match="TooManyQueries"):
        queries.modify(ModifyQuerySet(1, 2, (add(MAX_QUERIES),)))


def test_added_and_removed_before_its_first_result_is_only_removed() -> None:
    queries = modified(add(0), Remove(0))
    taken = queries.take()
    assert (taken.queries, taken.removed) == ((), (0,))
    assert queries.settle(taken, {}) == [QueryRemoved(0)]


def test_removed_in_flight_is_only_removed() -> None:
    queries = modified(add(0))
    taken = queries.take()
    queries.modify(ModifyQuerySet(1, 2, (Remove(0),)))
    assert queries.settle(taken, {0: value("a")}) == []
    assert queries.settle(queries.take(), {}) == [QueryRemoved(0)]


def test_removed_and_added_again_is_another_query() -> None:
    queries = modified(add(0))
    first = queries.take()
    queries.modify(ModifyQuerySet(1, 2, (Remove(0), add(0))))
    assert queries.settle(first, {0: value("old")}) == []
    second = queries.take()
    assert second.removed == ()
    assert queries.settle(second, {0: value("new")}) == [QueryUpdated(0, Raw(b'"new"'))]


def test_equal_answers_are_not_repeated_and_new_queries_always_told() -> None:
    queries = modified(add(0))
    assert len(queries.settle(queries.take(), {0: value("a")})) == 1
    queries.invalidate([0])
    queries.modify(ModifyQuerySet(1, 2, (add(1),)))
    assert queries.settle(queries.take(), {0: value("a"), 1: value("a")}) == [QueryUpdated(1, Raw(b'"a"'))]


def test_a_failure_is_never_equal_to_a_value() -> None:
    queries = modified(add(0))
    queries.settle(queries.take(), {0: value("a")})
    queries.invalidate([0])
    assert queries.settle(queries.take(), {0: Failure("a", None, b"a")}) == [QueryFailed(0, "a")]


def test_a_journal_stays_until_an_evaluation_replaces_it() -> None:
    queries = modified(add(0, "first"))
    taken = queries.take()
    assert [each.journal for each in taken.asked()] == ["first"]
    queries.give_back(taken)
    taken = queries.take()
    assert [each.journal for each in taken.asked()] == ["first"]
    queries.settle(taken, {0: value("a", "second")})
    queries.invalidate([0])
    assert [each.journal for each in queries.take().asked()] == ["second"]


def test_what_goes_stale_in_flight_stays_stale() -> None:
    queries = modified(add(0))
    taken = queries.take()
    assert not queries.waiting
    assert queries.invalidate([0, 99])
    queries.settle(taken, {0: value("a")})
    assert queries.waiting
    assert repr(queries) == "<QuerySet v1, 1 live, 1 stale, 0 removed>"


def test_nobody_cares_about_queries_that_are_gone() -> None:
    assert not modified().invalidate([1, 2])


def test_what_is_given_back_is_all_stale_again() -> None:
    queries = modified(add(0), add(1))
    queries.settle(queries.take(), {0: value("a"), 1: value("b")})
    queries.invalidate([0])
    queries.modify(ModifyQuerySet(1, 2, (Remove(1),)))
    taken = queries.take()
    queries.validate(taken)
    queries.give_back(taken)
    again = queries.take()
    assert (again.queries, again.removed) == (taken.queries, (1,))


@pytest.mark.parametrize("results", [{}, {0: value("a"), 1: value("b")}])
def test_each_query_of_a_refresh_needs_one_result(results: dict[int, Value]) -> None:
    queries = modified(add(0))
    with pytest.raises(LocalProtocolError):
        queries.settle(queries.take(), results)


def test_a_forgotten_query_breaks_the_invariant() -> None:
    queries = modified(add(0))
    taken = queries.take()
    queries.validate(taken)
    with pytest.raises(LocalProtocolError, match="stale, in flight or answered"):
        queries.validate(None)


# ── leaps ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def answered(text: str, journal: str | None = None) -> QuerySet:
    queries = modified(add(0))
    queries.settle(queries.take(), {0: value(text, journal)})
    return queries


def test_what_is_told_by_a_leap_is_known_to_the_next_refresh() -> None:
    queries = answered("a")
    assert queries.leap(0, told(value("b")), "end")
    queries.validate(None)
    queries.invalidate((0,))
    taken = queries.take()
    assert taken.asked()[0].journal == "end"
    assert queries.settle(taken, {0: value("b", "end")}) == []


def test_a_leap_needs_an_answer_that_stands_and_something_new_to_say() -> None:
    news = told(value("b"))
    assert not answered("a").leap(1, news, None), "not watched"
    assert not modified(add(0)).leap(0, news, None), "never answered"
    assert not answered("b").leap(0, news, None), "nothing new"
    stale = answered("a")
    stale.invalidate((0,))
    assert not stale.leap(0, news, None)
    assert stale.take().asked()[0].journal is None, "a leap that is not taken leaves nothing behind"


def test_a_failure_and_a_value_are_told_apart_though_their_digests_agree() -> None:
    assert told(Failure("no", None, b"x")) != told(Value(ARGS, b"x"))
    assert told(Value(ARGS, b"x", "one journal")) == told(Value(ARGS, b"x", "another"))
