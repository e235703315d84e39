"""Offers: an answer that one process found, as another may take it for its own. Plain values and decisions, no I/O.

Invariant: an offer is an answer at a moment only where our own log says that no commit between that moment and the offer's
own met what was read for it. Whatever cannot be said for sure is no.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from schema.keys import KeyRange
from schema.readset import ReadSet
from schema.values import Millis, Timestamp
from schema.wire import digest
from subscriptions.effects import Value
from subscriptions.errors import LogGap
from subscriptions.hub import Evaluated
from subscriptions.log import Log

MAX_VALUE_BYTES = 256 << 10
"""Larger answers are computed by each process: Redis is for many small things."""
MAX_RANGES = 256
MAX_MEETINGS = 16
"""Commits that met an answer since it was computed; beyond so many nobody looks further."""
MIN_DOCUMENTS, MIN_TOOK_MS = 8, 1.0
"""What it must have cost to be worth a message: less than either, and asking costs about what running does (docs/redis.md)."""


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """What running a query at `ts` gave, and all that this depended on."""

    ts: int
    ranges: tuple[KeyRange, ...]
    deadline: Millis | None
    value: bytes
    journal: str | None
    documents: int
    took_ms: float

    def evaluated(self) -> Evaluated:
        """The same as the hub takes it."""
        result = Value(Raw(self.value), digest(self.value), self.journal)
        return Evaluated(result, ReadSet(self.ranges, frozenset(), self.deadline), self.documents, is_adopted=True)


class Known(msgspec.Struct, frozen=True):
    """What is remembered of an answer that was given here: enough to say since when it is stale, and what running it takes."""

    ts: Timestamp
    reads: ReadSet
    took_ms: float


_decoder = msgspec.msgpack.Decoder(Offer)


def offer_of(evaluated: Evaluated, ts: Timestamp, took_ms: float) -> Offer | None:
    """What others may take of this; None where it is not everybody's, not worth it or too large.

    A refusal is nobody's: where something broke, its words lead to one process's log.
    """
    result, reads = evaluated.result, evaluated.reads
    if not isinstance(result, Value) or reads.facets:
        return None
    value = bytes(result.value)
    if len(value) > MAX_VALUE_BYTES or len(reads.ranges) > MAX_RANGES:
        return None
    if evaluated.documents < MIN_DOCUMENTS and took_ms < MIN_TOOK_MS:
        return None
    return Offer(ts, reads.ranges, reads.deadline, value, result.journal, evaluated.documents, took_ms)


def encode(offer: Offer) -> bytes:
    """An offer as it travels. Raises `OverflowError` for a number that no other program could read."""
    return msgspec.msgpack.encode(offer)


def decode(content: bytes) -> Offer | None:
    """The offer again, or None where this is none."""
    try:
        return _decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def holds(offer: Offer, ts: Timestamp, log: Log, now: Millis) -> bool:
    """Is this what the query would return at `ts`? Only what this process's own log says counts."""
    if offer.deadline is not None and offer.deadline <= now:
        return False
    earlier, later = sorted((Timestamp(offer.ts), ts))
    if later > log.position:
        return False
    try:
        met = log.first_meeting(ReadSet(offer.ranges), earlier)
    except LogGap:
        return False
    return met is None or met.ts > later


def stale_since(known: Known, ts: Timestamp, log: Log, now: Millis) -> str | None:
    """What made the answer stale for somebody who asks at `ts`: the last commit until then that met it, else its deadline.

    Every process that showed it says the same, whatever its own position. None where there is no telling.
    """
    since: Timestamp | None = None
    at = known.ts
    try:
        for _ in range(MAX_MEETINGS):
            met = log.first_meeting(known.reads, at)
            if met is None or met.ts > ts:
                break
            since = at = met.ts
        else:
            return None
    except LogGap:
        return None
    if since is not None:
        return f"commit {since}"
    deadline = known.reads.deadline
    return f"time {deadline}" if deadline is not None and deadline <= now and known.ts <= ts else None
