"""Values as clients read them: the encoding of sync-protocol section 8, and digests of it.

Invariant: equal values have equal bytes, so equal digests; `None` in an object is absent; every number is a Float64 and is
written with a point, because the Python HTTP client refuses bare integers.
"""

from __future__ import annotations

import hashlib
import math
import struct
from base64 import b64encode

import msgspec

from schema.values import integral

_encoder = msgspec.json.Encoder(order="sorted")


def encode_value(value: object) -> bytes:
    """A function's result as JSON: documents by their wire names, in canonical form."""
    return _encoder.encode(_wire(msgspec.to_builtins(value, builtin_types=(bytes,))))


def canonical_arguments(arguments: bytes) -> bytes:
    """A call's arguments with sorted keys and one spelling for each number: equal calls have equal bytes."""
    return _encoder.encode(integral(msgspec.json.decode(arguments)))


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
    if isinstance(value, dict):
        return {name: _wire(item) for name, item in value.items() if item is not None}
    raise TypeError(f"a {type(value).__name__} is not a value that clients know")


def _number(value: float) -> object:
    if math.isfinite(value) and not (value == 0.0 and math.copysign(1.0, value) < 0.0):
        return value
    return {"$float": b64encode(struct.pack("<d", value)).decode()}
