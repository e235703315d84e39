"""Keys and ranges: order of kinds, what a range contains, how it narrows, how it is spelled for the database."""

from __future__ import annotations

from typing import cast

import pytest

from schema.keys import BY_ID, LAST, Bound, Key, KeyRange, after, bounds, key_of, one_document, part, value_of
from schema.values import Scalar

ANA = KeyRange("images", "by_user", key_of("ana"))


def contained(keys: KeyRange, *rests: tuple[Scalar, ...]) -> list[bool]:
    return [keys.contains(keys.prefix + key_of(*rest)) for rest in rests]


def test_kinds_sort_as_in_the_database() -> None:
    values: list[Scalar] = [None, float("-inf"), -1, 0, 0.5, 1, 2**63 - 1, "", "a", "a\0", "b", "é", "\uffff", "😀"]
    values += [False, True]
    keys = [key_of(value) for value in values]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert all(key < (LAST,) for key in keys)


def test_one_number_has_one_key_and_a_flag_is_no_number() -> None:
    assert key_of(1) == key_of(1.0)
    assert hash(key_of(1)) == hash(key_of(1.0))
    assert key_of(True) != key_of(1)
    assert key_of(False) != key_of(None)


@pytest.mark.parametrize("value", [None, False, True, 0, 2.5, "", "x"])
def test_value_of_undoes_part(value: Scalar) -> None:
    found = value_of(part(value))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("value", "kind"), [([], "list"), (b"", "bytes"), ({}, "dict")])
def test_what_cannot_be_indexed_is_named(value: object, kind: str) -> None:
    with pytest.raises(TypeError, match=f"a {kind} cannot be part of an index key"):
        part(cast("Scalar", value))


def test_after_is_above_a_key_and_all_that_begin_with_it_and_below_the_next() -> None:
    end = after(key_of("a"))
    assert key_of("a") < key_of("a", True, "id") < end < key_of("a\0")


def test_a_range_contains_what_begins_with_its_prefix() -> None:
    assert contained(ANA, (), (1,), (None, "i1"), (True, "i1")) == [True] * 4
    assert not ANA.contains(key_of("anna", 1, "i1"))
    assert not ANA.contains(key_of())


def test_low_is_inclusive_and_high_is_exclusive() -> None:
    keys = ANA.narrowed(key_of(10), key_of(20))
    assert contained(keys, (9, "z"), (10, "a"), (19.5, "a"), (20, "a")) == [False, True, True, False]


def test_narrowing_never_widens() -> None:
    keys = ANA.narrowed(key_of(10), key_of(20))
    assert keys.narrowed() == keys
    assert keys.narrowed(key_of(5), key_of(25)) == keys
    assert keys.narrowed(key_of(12)) == KeyRange("images", "by_user", key_of("ana"), key_of(12), key_of(20))
    assert keys.narrowed(high=key_of(12)) == KeyRange("images", "by_user", key_of("ana"), key_of(10), key_of(12))


def test_a_range_is_empty_when_its_ends_meet_or_cross() -> None:
    assert not ANA.is_empty()
    assert ANA.narrowed(key_of(10), key_of(10)).is_empty()
    assert ANA.narrowed(key_of(11), key_of(10)).is_empty()
    assert ANA.narrowed(low=(LAST,)).is_empty()


def test_one_document() -> None:
    keys = one_document("images", "i1")
    assert (keys.table, keys.index) == ("images", BY_ID)
    assert keys.contains(key_of("i1"))
    assert not keys.contains(key_of("i1\0"))
    assert bounds(keys, 1) == (Bound(("i1",), at_end=False), Bound(("i1\0",), at_end=False))


@pytest.mark.parametrize(
    ("low", "high", "lower", "upper"),
    [
        ((), (LAST,), Bound(("ana",), False), Bound(("ana",), True)),
        (key_of(10), key_of(20), Bound(("ana", 10), False), Bound(("ana", 20), False)),
        (after(key_of(10)), after(key_of(20)), Bound(("ana", 10), True), Bound(("ana", 20), True)),
        (
            after(key_of(10, "i1")),
            after(key_of(None, "i2")),
            Bound(("ana", 10, "i1\0"), False),
            Bound(("ana", None, "i2\0"), False),
        ),
    ],
)
def test_bounds_spell_a_range_for_an_index(low: Key, high: Key, lower: Bound, upper: Bound) -> None:
    assert bounds(KeyRange("images", "by_user", key_of("ana"), low, high), 3) == (lower, upper)


def test_bounds_of_a_whole_index() -> None:
    assert bounds(KeyRange("images", "by_user", ()), 3) == (Bound((), False), Bound((), True))
