"""Timestamps and state versions as they travel: a u64 as eight little-endian bytes in standard base64.

Invariant: decoding is exact; whatever is not precisely eight encoded bytes below 2**63 is the peer's mistake.
"""

from __future__ import annotations

import binascii
import struct

import msgspec

from schema.values import ZERO, Timestamp
from subscriptions.errors import RemoteProtocolError

_U64 = struct.Struct("<Q")
_END_OF_TIME = 1 << 63


def encode_timestamp(ts: Timestamp) -> str:
    """`ts` as it travels."""
    return binascii.b2a_base64(_U64.pack(ts), newline=False).decode("ascii")


def decode_timestamp(text: str) -> Timestamp:
    """The timestamp that `text` stands for."""
    try:
        octets = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise RemoteProtocolError("A timestamp is not valid base64.") from error
    if len(octets) != _U64.size:
        raise RemoteProtocolError(f"A timestamp has {_U64.size} bytes, not {len(octets)}.")
    (ts,) = _U64.unpack(octets)
    if ts >= _END_OF_TIME:
        raise RemoteProtocolError("A timestamp lies beyond the end of time.")
    return Timestamp(ts)


class WireVersion(msgspec.Struct, frozen=True, rename="camel"):
    """A state version exactly as it travels."""

    query_set: int
    identity: int
    ts: str


class StateVersion(msgspec.Struct, frozen=True):
    """What a client's screen is true of: its query set, its identity, and a moment of the database."""

    query_set: int
    identity: int
    ts: Timestamp

    def wire(self) -> WireVersion:
        """This version as it travels."""
        return WireVersion(self.query_set, self.identity, encode_timestamp(self.ts))

    @staticmethod
    def of(wire: WireVersion) -> StateVersion:
        """The version that travelled."""
        return StateVersion(wire.query_set, wire.identity, decode_timestamp(wire.ts))


START = StateVersion(0, 0, ZERO)
"""Where every socket begins."""
