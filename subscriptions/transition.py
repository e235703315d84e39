"""The smallest transition from one state version to the next, whole or in parts.

Invariant: a transition names each query at most once, and its parts joined together are exactly the whole.
"""

from __future__ import annotations

import re

from msgspec import UNSET

from schema.values import Millis
from subscriptions.effects import Result, Value
from subscriptions.protocol import Modification, QueryFailed, QueryUpdated, Transition, TransitionChunk, encode
from subscriptions.version import StateVersion

MAX_WHOLE_BYTES = 5_000_000
CHUNKS_SINCE = (1, 28)

_CLIENT = re.compile(r"npm-(\d{1,9})\.(\d{1,9})(\D.*)?")


def accepts_chunks(client: str) -> bool:
    """Does this client (`npm-1.48.0`, `python-0.8.1`) put the parts of a transition together? Others would hang up."""
    match = _CLIENT.fullmatch(client)
    return match is not None and (int(match[1]), int(match[2])) >= CHUNKS_SINCE


def modification(query_id: int, result: Result) -> Modification:
    """What a transition says of a query with this result."""
    if isinstance(result, Value):
        return QueryUpdated(query_id, result.value, result.journal)
    return QueryFailed(query_id, result.message, result.journal, UNSET if result.data is None else result.data)


def transition(
    start: StateVersion, end: StateVersion, changes: list[Modification], skew: int | None, now: Millis
) -> bytes:
    """One transition as one frame."""
    return encode(Transition(start.wire(), end.wire(), tuple(changes), skew, int(now * 1_000_000)))


def parts(whole: bytes, name: str) -> list[bytes]:
    """A long transition as frames of its parts, cut between characters; a short one as it is."""
    if len(whole) <= MAX_WHOLE_BYTES:
        return [whole]
    pieces = _pieces(whole)
    return [encode(TransitionChunk(piece.decode(), number, len(pieces), name)) for number, piece in enumerate(pieces)]


def _pieces(whole: bytes) -> list[bytes]:
    pieces, start = [], 0
    while start < len(whole):
        end = min(start + MAX_WHOLE_BYTES, len(whole))
        while end < len(whole) and whole[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        pieces.append(whole[start:end])
        start = end
    return pieces
