"""Reading answers: JSON as the server sends it into the Structs of a generated client."""

from __future__ import annotations

import types
import typing
from typing import Any

import msgspec
from msgspec import Raw

from schema.values import integral, wire_name


class Record(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """A shape of a generated client. Fields that the server adds later are ignored."""


def read(answer: Raw, shape: object) -> Any:
    """The answer in its shape. Raises `msgspec.ValidationError` where the server has another idea of it."""
    value = integral(msgspec.json.decode(answer))
    if isinstance(shape, types.UnionType):  # msgspec takes no union of records
        if value is None and types.NoneType in typing.get_args(shape):
            return None
        shape = closest(value, shape) if isinstance(value, dict) else shape
    return msgspec.convert(value, shape)


def given(**arguments: object) -> dict[str, object]:
    """The arguments that were given; what is None is left to the server."""
    return {name: value for name, value in arguments.items() if value is not None}


def wanted(num_items: int, cursor: str | None) -> dict[str, object]:
    """Which page to send."""
    return {"numItems": num_items, "cursor": cursor}


def closest(value: dict[str, object], union: types.UnionType) -> object:
    """Of several records the one that leaves out least of the value, and of these the smallest: nothing else tells them apart."""
    records = [each for each in typing.get_args(union) if isinstance(each, type) and issubclass(each, msgspec.Struct)]

    def waste(record: type[msgspec.Struct]) -> tuple[int, int]:
        known = record.__struct_encode_fields__
        return len(value.keys() - set(known)), len(known)

    return min(records, key=waste) if records else union
