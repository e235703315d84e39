"""Values as clients read them: the encoding of sync-protocol section 8, and digests of it.

Invariant: equal values have equal bytes, so equal digests; a document's field that is `None` is absent; every number is a
Float64 and is written with a point, because the Python HTTP client refuses bare integers.
"""

from __future__ import annotations

import hashlib
import math
import struct
from base64 import b64decode, b64encode

import msgspec

from schema.values import integral

MINUS_ZERO = {"$float": "AAAAAAAAAIA="}
"""JSON's `-0` means zero, so the one that is meant is spelt out."""

_encoder = msgspec.json.Encoder(order="sorted")


class Said(msgspec.Struct, frozen=True):
    """A result whose empty fields are said as null. Everywhere else what is empty is absent."""


def encode_value(value: object) -> bytes:
    """A function's result as JSON: documents by their wire names, in canonical form."""
    return _encoder.encode(_wire(value))


def canonical_arguments(arguments: bytes) -> bytes:
    """A call's arguments with sorted keys and one spelling for each number: equal calls have equal bytes."""
    return _encoder.encode(integral(msgspec.json.decode(arguments)))


def read_arguments(arguments: bytes) -> object:
    """A call's arguments as Python has them: minus zero is a number. Raises `msgspec.DecodeError`."""
    return _read(integral(msgspec.json.decode(arguments)))


def plain(value: bytes) -> bytes:
    """An encoded value in JSON's own words: Int64 and bytes as texts, what is no finite number by its name."""
    return _encoder.encode(_plain(msgspec.json.decode(value))) if b'"$' in value else value


def digest(value: bytes) -> bytes:
    """A short fingerprint of encoded bytes."""
    return hashlib.blake2b(value, digest_size=16).digest()


def _wire(value: object) -> object:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return _number(float(value))
    if isinstance(value, bytes):
        return {"$bytes": b64encode(value).decode()}
    if isinstance(value, list | tuple):
        return [_wire(item) for item in value]
    if isinstance(value, msgspec.Struct):
        named = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        fields = ((name, getattr(value, field)) for name, field in named)
        return {name: _wire(item) for name, item in fields if item is not None or isinstance(value, Said)}
    if isinstance(value, dict):
        return {name: _wire(item) for name, item in value.items()}
    raise TypeError(f"a {type(value).__name__} is not a value that clients know")


def _read(value: object) -> object:
    if value == MINUS_ZERO:
        return -0.0
    if isinstance(value, dict):
        return {name: _read(item) for name, item in value.items()}
    return [_read(item) for item in value] if isinstance(value, list) else value


def _plain(value: object) -> object:
    match value:
        case {"$bytes": str(text)}:
            return text
        case {"$integer": str(text)}:
            return str(int.from_bytes(b64decode(text), "little", signed=True))
        case {"$float": str(text)}:
            (number,) = struct.unpack("<d", b64decode(text))
            return -0.0 if number == 0.0 else str(number).replace("inf", "Infinity").replace("nan", "NaN")
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case list():
            return [_plain(item) for item in value]
    return value


def _number(value: float) -> object:
    if math.isfinite(value) and not (value == 0.0 and math.copysign(1.0, value) < 0.0):
        return value
    return {"$float": b64encode(struct.pack("<d", value)).decode()}
