"""The order of keys and the meaning of bounds, held to a real mongod.

The property tests check `schema.keys` against a written rule; this checks that the rule is MongoDB's.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, TypeAlias

import pytest
from bson.max_key import MaxKey
from bson.min_key import MinKey
from pymongo import ASCENDING, MongoClient
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from schema.keys import LAST, Bound, Key, KeyRange, after, bounds, key_of
from schema.values import Scalar

DEADLINE_MS = 30_000
SEED = 20_260
MIN_NOT_BEFORE_MAX = 51175

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = Collection[Row]

NAMES = ("a", "b", "_id")
INDEX = [(name, ASCENDING) for name in NAMES]

VALUES: tuple[Scalar, ...] = (
    None,
    False,
    True,
    *(float("-inf"), -(2**63), -1.5, -1, -0.0, 0, 5e-324, 1, 1.0, 1.5, 2**31, 1_700_000_000_000.0),
    *(2**53, 2.0**53, 2**53 + 1, 2**63 - 1, 2.0**63, 1e300, float("inf")),
    *("", "\0", "A", "Z", "a", "a\0", "a\0b", "a\x01", "aa", "b", "é", "e\u0301", "ß", "日本", "\ue000", "\uffff"),
    *("\U00010000", "😀", "😀a"),
)


def rows() -> list[Row]:
    """Every value in the first field, and a mix of both fields; `None` is stored as null and also left out."""
    chance = Random(SEED)
    pairs: list[tuple[Scalar, Scalar]] = [(value, None) for value in VALUES]
    pairs += [(chance.choice(VALUES[:24]), chance.choice(VALUES)) for _ in range(600)]
    ids = [f"{chance.choice('aé日😀')}{number}{chance.choice(['', chr(0)])}" for number in range(2 * len(pairs))]
    made: list[Row] = []
    for a, b in pairs:
        made.append({"_id": ids.pop(), "a": a, "b": b})
        if a is None or b is None:
            made.append({"_id": ids.pop()} | {name: value for name, value in (("a", a), ("b", b)) if value is not None})
    chance.shuffle(made)
    return made


def key_of_row(row: Row) -> Key:
    return key_of(*(row.get(name) for name in NAMES))


@pytest.fixture(scope="module")
def collection(mongod_uri: str) -> Iterator[Rows]:
    """A collection of mixed values with one index over both fields and the id."""
    with MongoClient[Row](mongod_uri, timeoutMS=DEADLINE_MS) as client:
        found = client["test_key_order"]["rows"]
        found.drop()
        found.insert_many(rows())
        found.create_index(INDEX)
        yield found
        client.drop_database("test_key_order")


def spelled(bound: Bound) -> Row:
    """The bound as `min` and `max` take it: a value for every field of the index."""
    filler = MaxKey() if bound.at_end else MinKey()
    return dict.fromkeys(NAMES, filler) | dict(zip(NAMES, bound.values, strict=False))


def found_in(collection: Rows, keys: KeyRange) -> list[str]:
    lower, upper = bounds(keys, len(NAMES))
    return [row["_id"] for row in collection.find({}, hint=INDEX, min=spelled(lower), max=spelled(upper))]


def ranges(keys: list[Key]) -> list[KeyRange]:
    """Whole prefixes, ends after some or all further fields, and pages that begin and end just after a key."""
    chance = Random(SEED)
    made = [KeyRange("t", "i", key[:size]) for size in range(4) for key in chance.sample(keys, 25)]
    for value in VALUES:
        made += [KeyRange("t", "i", (), *ends) for ends in ((key_of(value),), ((), after(key_of(value))))]
    for _ in range(600):
        size = chance.choice([0, 1, 2])
        prefix = chance.choice(keys)[:size]
        under = [key for key in keys if key[:size] == prefix]
        low, high = (chance.choice(under)[size : size + chance.randint(1, 3)] for _ in range(2))
        low, high = (end if chance.random() < 0.5 else after(end) for end in (low, high))
        made.append(KeyRange("t", "i", prefix, low, chance.choice([high, (LAST,)])))
    return [each for each in made if not each.is_empty()]


def test_the_index_is_in_the_order_of_keys(collection: Rows) -> None:
    by_index = list(collection.find({}, hint=INDEX).sort(INDEX))
    keys = [key_of_row(row) for row in by_index]
    assert len(keys) == len(rows())
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


def test_bounds_find_exactly_what_the_range_contains(collection: Rows) -> None:
    in_order = sorted((key_of_row(row), row["_id"]) for row in rows())
    some = 0
    for keys in ranges([key for key, _ in in_order]):
        expected = [name for key, name in in_order if keys.contains(key)]
        assert found_in(collection, keys) == expected, keys
        some += 0 < len(expected) < len(in_order)
    assert some > 300


def test_bounds_that_meet_must_not_be_asked_for(collection: Rows) -> None:
    """Between one id and the next string there is none. Such a range is not empty as tuples go; mongod refuses it."""
    keys = KeyRange("t", "i", (), after(key_of(1.5, None, "a")), key_of(1.5, None, "a\0"))
    lower, upper = bounds(keys, len(NAMES))
    assert not keys.is_empty()
    assert lower == upper
    with pytest.raises(OperationFailure) as refused:
        found_in(collection, keys)
    assert refused.value.code == MIN_NOT_BEFORE_MAX
