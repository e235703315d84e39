"""The order of keys and the laws of ranges.

The rule, from MongoDB's comparison order: null < number < string < boolean; numbers by value whatever their type,
strings by the bytes of their UTF-8 form, false before true; keys field by field. `tests/store/test_key_order.py`
holds this rule, and the meaning of `bounds`, to a real mongod.
"""

from __future__ import annotations

from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from schema.keys import LAST, Bound, Key, KeyRange, after, bounds, key_of, value_of
from schema.values import Scalar

Rank: TypeAlias = tuple[int, int | float | bytes]

STRINGS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.text("a\0\uffff\U0001f600", max_size=3)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.sampled_from([2**53, 2.0**53, 2**53 + 1])
SCALARS: st.SearchStrategy[Scalar] = st.none() | st.booleans() | NUMBERS | STRINGS
# Few values, so that keys and ends meet often.
CLOSE: st.SearchStrategy[Scalar] = st.sampled_from([None, False, True, 0, 1, 1.5, "", "a", "a\0", "b"])
IDS = st.sampled_from(["a", "a\0", "b"])

LENGTH = 3
"""Fields of the index in these tests: two values and the id."""

KEYS: st.SearchStrategy[Key] = st.builds(key_of, CLOSE, CLOSE, IDS)
# Ends as the reader makes them: some leading fields, or just after them, or a whole key, or just after it.
WHOLE_OR_PART = st.tuples(KEYS, st.integers(0, LENGTH)).map(lambda pair: pair[0][: pair[1]])
ENDS: st.SearchStrategy[Key] = WHOLE_OR_PART | WHOLE_OR_PART.map(after)


@st.composite
def ranges(draw: st.DrawFn) -> KeyRange:
    """A range whose ends both extend its prefix."""
    size = draw(st.integers(0, LENGTH))
    prefix = draw(KEYS)[:size]
    low, high = (draw(ENDS)[size:] for _ in range(2))
    return KeyRange("t", "i", prefix).narrowed(low, draw(st.sampled_from([high, None])))


def rank(value: Scalar) -> Rank:
    """The rule above, written independently of `schema.keys`."""
    match value:
        case None:
            return 0, 0
        case bool():
            return 3, value
        case int() | float():
            return 1, value
        case str():
            return 2, value.encode()


@given(st.lists(SCALARS, max_size=3), st.lists(SCALARS, max_size=3))
def test_keys_sort_by_the_rule(left: list[Scalar], right: list[Scalar]) -> None:
    by_rule = [rank(value) for value in left], [rank(value) for value in right]
    assert (key_of(*left) < key_of(*right)) is (by_rule[0] < by_rule[1])
    assert (key_of(*left) == key_of(*right)) is (by_rule[0] == by_rule[1])


@given(SCALARS)
def test_a_key_gives_its_values_back(value: Scalar) -> None:
    found = value_of(key_of(value)[0])
    assert found == value
    assert type(found) is type(value)


@given(st.lists(SCALARS, max_size=2), st.lists(SCALARS, max_size=2), st.lists(SCALARS, max_size=3))
def test_after_is_the_smallest_bound_above_all_that_begin_with_a_key(
    start: list[Scalar], more: list[Scalar], other: list[Scalar]
) -> None:
    key, end, stranger = key_of(*start), after(key_of(*start)), key_of(*other)
    assert key <= key_of(*start, *more) < end < (LAST,) or not start
    if stranger[: len(key)] != key and stranger > key:
        assert stranger > end


@given(ranges(), KEYS)
def test_a_range_is_the_keys_between_its_ends(keys: KeyRange, key: Key) -> None:
    low, high = keys.prefix + keys.low, keys.prefix + keys.high
    assert keys.contains(key) is (low <= key < high)


@given(ranges(), ENDS, ENDS, KEYS)
def test_narrowing_keeps_what_lies_between(keys: KeyRange, low: Key, high: Key, key: Key) -> None:
    rest = key[len(keys.prefix) :]
    assert keys.narrowed(low).contains(key) is (keys.contains(key) and low <= rest)
    assert keys.narrowed(high=high).contains(key) is (keys.contains(key) and rest < high)
    assert keys.narrowed(low, high) == keys.narrowed(low).narrowed(high=high) == keys.narrowed(low, high).narrowed()


@given(ranges(), KEYS)
def test_a_range_splits_at_any_key_without_gap_or_overlap(keys: KeyRange, at: Key) -> None:
    end = after(at[len(keys.prefix) :])
    head, tail = keys.narrowed(high=end), keys.narrowed(low=end)
    for key in (at, (*at[:-1], (at[-1][0], f"{at[-1][1]}\0"))):
        assert keys.contains(key) is (head.contains(key) != tail.contains(key))
    assert not tail.contains(at)


@given(ranges(), KEYS)
def test_an_empty_range_contains_nothing(keys: KeyRange, key: Key) -> None:
    assert not (keys.is_empty() and keys.contains(key))


def spelled(bound: Bound) -> tuple[Rank, ...]:
    """A bound over all fields: those it leaves out are MongoDB's MinKey, or MaxKey."""
    filler: Rank = (9, 0) if bound.at_end else (-1, 0)
    assert len(bound.values) <= LENGTH
    return (*(rank(value) for value in bound.values), *[filler] * (LENGTH - len(bound.values)))


@given(ranges(), KEYS)
def test_bounds_agree_with_contains(keys: KeyRange, key: Key) -> None:
    lower, upper = bounds(keys, LENGTH)
    place = tuple(rank(value_of(part)) for part in key)
    assert keys.contains(key) is (spelled(lower) <= place < spelled(upper))


@given(ranges())
def test_bounds_are_in_order_unless_the_range_is_empty(keys: KeyRange) -> None:
    lower, upper = bounds(keys, LENGTH)
    assert keys.is_empty() or spelled(lower) <= spelled(upper)
