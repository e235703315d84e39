"""Read sets and write sets: when they overlap, and write sets as one."""

from __future__ import annotations

import pytest

from schema.keys import KeyRange, key_of, one_document
from schema.readset import Commit, ReadSet, Touch, WriteSet, overlap, united
from schema.values import Timestamp

ANA = KeyRange("images", "by_user", key_of("ana"))
READS = ReadSet((ANA, one_document("users", "u1")))


@pytest.mark.parametrize(
    ("touch", "met"),
    [
        (Touch("images", "by_user", key_of("ana", 1, "i1")), True),
        (Touch("images", "by_user", key_of("ben", 1, "i1")), False),
        (Touch("images", "by_owner", key_of("ana", 1, "i1")), False),
        (Touch("albums", "by_user", key_of("ana", 1, "i1")), False),
        (Touch("users", "by_id", key_of("u1")), True),
        (Touch("users", "by_id", key_of("u2")), False),
    ],
)
def test_a_touched_key_meets_the_ranges_that_contain_it(touch: Touch, met: bool) -> None:
    assert overlap(READS, WriteSet(frozenset({touch}))) is met
    unrelated = Touch("payments", "by_id", key_of("p1"))
    assert overlap(READS, WriteSet(frozenset({unrelated, touch}))) is met


def test_a_coarse_write_meets_every_range_of_its_table() -> None:
    assert overlap(READS, WriteSet(tables=frozenset({"users"})))
    assert not overlap(READS, WriteSet(tables=frozenset({"payments"})))


def test_nothing_meets_nothing() -> None:
    assert not overlap(READS, WriteSet())
    assert not overlap(ReadSet(), WriteSet(tables=frozenset({"users"})))
    assert not overlap(ReadSet(facets=frozenset({"subject"}), deadline=1.0), WriteSet(tables=frozenset({"users"})))


def test_united_is_everything_touched() -> None:
    one, two = (Touch("images", "by_id", key_of(name)) for name in ("i1", "i2"))
    parts = [WriteSet(frozenset({one})), WriteSet(frozenset({one, two}), frozenset({"users"})), WriteSet()]
    assert united(parts) == WriteSet(frozenset({one, two}), frozenset({"users"}))
    assert united(iter(parts)) == united(parts)
    assert united([]) == WriteSet()


def test_equal_sets_are_equal_values() -> None:
    assert hash(ReadSet((ANA,))) == hash(ReadSet((KeyRange("images", "by_user", key_of("ana")),)))
    assert Commit(Timestamp(1), WriteSet()) == Commit(Timestamp(1), WriteSet())
