"""The small values everything else is made of: ids, times, timestamps, names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Generic, NewType, TypeAlias, TypeVar

import msgspec

T = TypeVar("T")

if TYPE_CHECKING:

    class Id(str, Generic[T]):
        """The id of a document of type `T`. To the type checker ids of two tables never mix; at run time it is a string."""

else:

    class Id:
        """At run time a plain string whose annotation remembers the document, so that msgspec decodes it natively."""

        def __new__(cls, value: str) -> str:
            return str(value)

        def __class_getitem__(cls, document: object) -> object:
            name = getattr(document, "__name__", str(document))
            return Annotated[str, msgspec.Meta(min_length=1, max_length=64, extra={"id_of": name})]


Millis: TypeAlias = float
"""Milliseconds since the Unix epoch, as clients know time."""

Timestamp = NewType("Timestamp", int)
"""A commit time: MongoDB's cluster time as one u64, seconds in the upper half and the ordinal in the lower."""

Scalar: TypeAlias = bool | int | float | str | None
"""What an indexed field may hold."""

ZERO = Timestamp(0)

MAX_SAFE_INTEGER = 2**53
"""Up to here a Float64 names every integer."""


def seconds(count: float) -> Millis:
    """`count` seconds as milliseconds."""
    return count * 1_000.0


def minutes(count: float) -> Millis:
    """`count` minutes as milliseconds."""
    return seconds(60.0 * count)


def hours(count: float) -> Millis:
    """`count` hours as milliseconds."""
    return minutes(60.0 * count)


def days(count: float) -> Millis:
    """`count` days as milliseconds."""
    return hours(24.0 * count)


def wire_name(name: str) -> str:
    """The one rule from Python names to names in the database and on the wire: `user_id` is `userId`, `id` is `_id`."""
    if name == "id":
        return "_id"
    if name == "creation_time":
        return "_creationTime"
    return camel(name)


def camel(name: str) -> str:
    """`get_public_gallery` as `getPublicGallery`."""
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


def integral(value: object) -> object:
    """`value` with every whole float turned into an int, deeply.

    Numbers have one kind on the wire (Float64, sync-protocol 8.2) and two in Python: after this, a field's own type decides.
    """
    if type(value) is float:
        return int(value) if value.is_integer() and abs(value) <= MAX_SAFE_INTEGER else value
    if isinstance(value, dict):
        return {key: integral(item) for key, item in value.items()}
    if isinstance(value, list):
        return [integral(item) for item in value]
    return value
