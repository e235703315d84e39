"""The matcher: hits by prefix, by interval and by table; equal ranges held once; nothing left behind."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from random import Random
from typing import TypeVar

from schema.keys import Key, KeyRange, after, key_of, one_document
from schema.readset import ReadSet, Touch, WriteSet
from subscriptions.matcher import FEW_TOKENS, Matcher, _Interval

K = TypeVar("K", bound=Hashable)

EMPTY = "<Matcher 0 tokens, 0 ranges of no table>"


def reads(*ranges: KeyRange) -> ReadSet:
    return ReadSet(ranges)


def of_user(user: str, low: Key = (), high: Key | None = None) -> KeyRange:
    return KeyRange("images", "by_user", key_of(user)).narrowed(low, high)


def touched(*keys: Key, table: str = "images", index: str = "by_user") -> WriteSet:
    return WriteSet(frozenset(Touch(table, index, key) for key in keys))


def tree_of_ana(matcher: Matcher[K]) -> _Interval[K]:
    return matcher._indexes["images", "by_user"][1][key_of("ana")]


def check(tree: _Interval[K], depth: int = 1) -> None:
    """Order, weights, peaks and depth of a tree are as its class says."""
    assert depth < 40
    assert tree.peak == max([tree.high, *(child.peak for child in (tree.left, tree.right) if child is not None)])
    for child, side in ((tree.left, -1), (tree.right, 1)):
        if child is not None:
            assert tree.side(child.low, child.high) == side
            assert child.weight <= tree.weight
            check(child, depth + 1)


def test_a_key_hits_those_who_watch_its_prefix() -> None:
    matcher: Matcher[str] = Matcher()
    matcher.watch("ana", reads(of_user("ana")))
    matcher.watch("ben", reads(of_user("ben")))
    matcher.watch("all", reads(KeyRange("images", "by_user", ())))
    assert matcher.hits(touched(key_of("ana", 1, "i1"))) == {"ana", "all"}
    assert matcher.hits(touched(key_of("cleo", 1, "i1"))) == {"all"}
    assert matcher.hits(touched(key_of("ana", 1, "i1"), key_of("ben", 1, "i1"))) == {"ana", "ben", "all"}
    assert matcher.hits(WriteSet()) == set()


def test_other_tables_and_other_indexes_are_not_hit() -> None:
    matcher: Matcher[str] = Matcher()
    matcher.watch("ana", reads(of_user("ana")))
    assert matcher.hits(touched(key_of("ana", 1, "i1"), index="by_owner")) == set()
    assert matcher.hits(touched(key_of("ana", 1, "i1"), table="users")) == set()


def test_a_whole_key_is_a_prefix_too() -> None:
    matcher: Matcher[int] = Matcher()
    matcher.watch(1, reads(one_document("images", "i1")))
    assert matcher.hits(touched(key_of("i1"), index="by_id")) == {1}
    assert matcher.hits(touched(key_of("i2"), index="by_id")) == set()


def test_an_interval_includes_its_low_end_and_excludes_its_high_end() -> None:
    matcher: Matcher[int] = Matcher()
    matcher.watch(1, reads(of_user("ana", key_of(10), key_of(20))))
    matcher.watch(2, reads(of_user("ana", after(key_of(10, "i1")), after(key_of(20)))))
    found = {ts: matcher.hits(touched(key_of("ana", ts, "i1"))) for ts in (9, 10, 11, 19, 20, 21)}
    assert found == {9: set(), 10: {1}, 11: {1, 2}, 19: {1, 2}, 20: {2}, 21: set()}


def test_an_empty_range_is_hit_by_its_table_only() -> None:
    matcher: Matcher[int] = Matcher()
    matcher.watch(1, reads(of_user("ana", key_of(20), key_of(10))))
    assert matcher.hits(touched(key_of("ana", 15, "i1"))) == set()
    assert matcher.hits(WriteSet(tables=frozenset({"images"}))) == {1}


def test_a_coarse_write_hits_everyone_of_that_table() -> None:
    matcher: Matcher[int] = Matcher()
    for token in range(50):
        matcher.watch(token, reads(of_user("ana", key_of(token))))
    matcher.watch(50, reads(of_user("ben"), one_document("images", "i1")))
    matcher.watch(51, reads(one_document("users", "u1")))
    assert matcher.hits(WriteSet(tables=frozenset({"images"}))) == set(range(51))
    assert matcher.hits(WriteSet(tables=frozenset({"users", "payments"}))) == {51}


def test_equal_ranges_are_held_once() -> None:
    matcher: Matcher[int] = Matcher()
    for token in range(3 * FEW_TOKENS):
        matcher.watch(token, reads(of_user("ana")))
    assert repr(matcher) == "<Matcher 12 tokens, 1 ranges of images>"
    for token in range(3 * FEW_TOKENS):
        assert matcher.hits(touched(key_of("ana", 1, "i1"))) == set(range(token, 3 * FEW_TOKENS))
        matcher.unwatch(token)
    assert repr(matcher) == EMPTY


def test_one_read_set_may_name_a_range_twice() -> None:
    matcher: Matcher[int] = Matcher()
    twice = reads(*[of_user("ana")] * 2)
    for token in range(FEW_TOKENS + 1):
        matcher.watch(token, twice)
    assert matcher.hits(touched(key_of("ana", 1, "i1"))) == set(range(FEW_TOKENS + 1))
    for token in range(FEW_TOKENS):
        matcher.unwatch(token)
    assert matcher.hits(touched(key_of("ana", 1, "i1"))) == {FEW_TOKENS}
    matcher.unwatch(FEW_TOKENS)
    assert repr(matcher) == EMPTY


def test_what_others_watch_stays() -> None:
    matcher: Matcher[int] = Matcher()
    everywhere = [of_user("ana"), of_user("ben"), KeyRange("images", "by_user", ()), one_document("images", "i1")]
    for token, each in enumerate(everywhere):
        matcher.watch(token, reads(each))
    for token in range(3):
        matcher.unwatch(token)
        assert matcher.hits(WriteSet(tables=frozenset({"images"}))) == set(range(token + 1, 4))
    assert repr(matcher) == "<Matcher 1 tokens, 1 ranges of images>"


def test_watching_again_replaces_what_was_watched() -> None:
    matcher: Matcher[str] = Matcher()
    matcher.watch("a", reads(of_user("ana")))
    matcher.watch("a", reads(of_user("ana")))
    matcher.watch("a", reads(of_user("ben")))
    assert len(matcher) == 1
    assert matcher.hits(touched(key_of("ana", 1, "i1"))) == set()
    assert matcher.hits(touched(key_of("ben", 1, "i1"))) == {"a"}


def test_a_token_may_watch_nothing() -> None:
    matcher: Matcher[str] = Matcher()
    matcher.watch("a", ReadSet(facets=frozenset({"subject"})))
    assert len(matcher) == 1
    matcher.unwatch("a")
    matcher.unwatch("never watched")
    assert len(matcher) == 0


def test_many_intervals_under_one_prefix() -> None:
    spans = list(itertools.combinations(range(24), 2))
    Random(7).shuffle(spans)
    matcher: Matcher[tuple[int, int]] = Matcher()
    for low, high in spans:
        matcher.watch((low, high), reads(of_user("ana", key_of(low), key_of(high))))
    assert repr(matcher) == f"<Matcher {len(spans)} tokens, {len(spans)} ranges of images>"
    for kept in (spans, spans[::3], spans[::30]):
        for span in spans:
            if span not in kept:
                matcher.unwatch(span)
        for ts in range(-1, 25):
            expected = {(low, high) for low, high in kept if low <= ts < high}
            assert matcher.hits(touched(key_of("ana", ts, "i1"))) == expected
        check(tree_of_ana(matcher))
    for span in spans:
        matcher.unwatch(span)
    assert repr(matcher) == EMPTY


def test_repr_names_the_tables() -> None:
    matcher: Matcher[str] = Matcher()
    assert repr(matcher) == EMPTY
    matcher.watch("a", reads(one_document("users", "u1"), one_document("images", "i1"), of_user("ana")))
    assert repr(matcher) == "<Matcher 1 tokens, 3 ranges of images, users>"
    assert repr(tree_of_ana(matcher)) == "<_Interval ()..((9, 0),), 1 tokens>"
