"""Index keys and ranges of them, in the order in which MongoDB keeps an index.

Invariant: comparing two `Key`s as Python tuples gives the order of the index, so a range is two tuples and a test.
Keys always end with the document's id, therefore no two documents share a key.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from schema.values import Scalar

KeyPart: TypeAlias = tuple[int, Scalar]
Key: TypeAlias = tuple[KeyPart, ...]

# The ranks follow MongoDB's comparison order of BSON types; an absent field sorts as null.
_NULL, _NUMBER, _STRING, _BOOLEAN, _MAX = 1, 2, 3, 4, 9

LAST: KeyPart = (_MAX, 0)
"""Sorts after every part that a document can have."""

BY_ID = "by_id"
"""The index that every table has: the id alone."""


def part(value: Scalar) -> KeyPart:
    """One indexed value as a comparable part. Raises `TypeError` for what cannot be indexed."""
    if value is None:
        return (_NULL, 0)
    if isinstance(value, bool):
        return (_BOOLEAN, value)
    if isinstance(value, int | float):
        if value != value:
            raise TypeError("NaN has no place in an index")
        return (_NUMBER, value)
    if isinstance(value, str):
        return (_STRING, value)
    raise TypeError(f"a {type(value).__name__} cannot be part of an index key")


def key_of(*values: Scalar) -> Key:
    """The key of these values."""
    return tuple(part(value) for value in values)


def value_of(key_part: KeyPart) -> Scalar:
    """The value that `part` was given."""
    rank, value = key_part
    return None if rank == _NULL else value


def after(key: Key) -> Key:
    """The smallest bound above `key` and above every key that begins with it."""
    return (*key, LAST)


class KeyRange(msgspec.Struct, frozen=True):
    """The keys of one index that begin with `prefix` and whose rest lies in `[low, high)`.

    `low` and `high` are compared with the rest of the key as tuples: `()` is below everything, `(LAST,)` above.
    """

    table: str
    index: str
    prefix: Key
    low: Key = ()
    high: Key = (LAST,)

    def contains(self, key: Key) -> bool:
        """Does this whole index key lie in the range?"""
        size = len(self.prefix)
        return key[:size] == self.prefix and self.low <= key[size:] < self.high

    def is_empty(self) -> bool:
        """Can no key lie in it?"""
        return not self.low < self.high

    def narrowed(self, low: Key | None = None, high: Key | None = None) -> KeyRange:
        """The part of this range between `low` and `high`; never wider than it."""
        new_low = self.low if low is None else max(self.low, low)
        new_high = self.high if high is None else min(self.high, high)
        return KeyRange(self.table, self.index, self.prefix, new_low, new_high)


def one_document(table: str, document_id: str) -> KeyRange:
    """The range that holds exactly this document, by its id."""
    return KeyRange(table, BY_ID, key_of(document_id))


class Bound(msgspec.Struct, frozen=True):
    """One end of a range, spelled out for an index of known length.

    `values` are the leading fields' values; every further field is at its minimum, or at its maximum when `at_end`.
    """

    values: tuple[Scalar, ...]
    at_end: bool


def bounds(keys: KeyRange, length: int) -> tuple[Bound, Bound]:
    """The range as an inclusive lower and an exclusive upper bound over all `length` fields of its index."""
    return _bound(keys.prefix + keys.low, length), _bound(keys.prefix + keys.high, length)


def _bound(key: Key, length: int) -> Bound:
    if key and key[-1] == LAST:
        values = tuple(value_of(each) for each in key[:-1])
        if len(values) < length:
            return Bound(values, at_end=True)
        # Just above one whole key: its last field is the id, a string, and this is the next string there is.
        return Bound((*values[:-1], f"{values[-1]}\0"), at_end=False)
    return Bound(tuple(value_of(each) for each in key), at_end=False)
