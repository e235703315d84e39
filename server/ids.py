"""Identifiers: sortable by time for documents, unguessable for everything that is a capability."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from uuid import UUID

from schema.values import Millis

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TIME_BITS, RANDOM_BITS = 48, 80
CAPABILITY_BITS = 160


def document_id(now: Millis) -> str:
    """26 characters that sort by creation, so that neighbours in time are neighbours in the index."""
    return _text((int(now) << RANDOM_BITS) | secrets.randbits(RANDOM_BITS), (TIME_BITS + RANDOM_BITS + 4) // 5)


def document_ids() -> Callable[[Millis], str]:
    """Makes document ids that also sort in the order in which they were made: one for each transaction."""
    last = 0

    def mint(now: Millis) -> str:
        nonlocal last
        last = max((int(now) << RANDOM_BITS) | secrets.randbits(RANDOM_BITS), last + 1)
        return _text(last, (TIME_BITS + RANDOM_BITS + 4) // 5)

    return mint


def capability_id() -> str:
    """32 characters that nobody can guess: holding one is the permission to read what it names."""
    return _text(secrets.randbits(CAPABILITY_BITS), CAPABILITY_BITS // 5)


def request_id() -> str:
    """16 hexadecimal characters that tie an error a client saw to the log."""
    return secrets.token_hex(8)


def session_id() -> UUID:
    """Names a client to the server from its first socket to its last."""
    return UUID(int=secrets.randbits(128), version=4)


def _text(number: int, length: int) -> str:
    return "".join(ALPHABET[(number >> (5 * place)) & 31] for place in reversed(range(length)))
