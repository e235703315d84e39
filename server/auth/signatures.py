"""The gate for webhooks: Standard Webhooks signatures, as Polar sends them and, under other header names, Svix for Clerk.

Invariant: nothing of a body is believed before an HMAC over its untouched bytes, its id and its time was found under one of
our secrets; whatever the headers hold, the answer is the message's id or `SignatureRefused`.

A secret stands for two keys: the UTF-8 bytes of the whole text, which is what Polar signs with, and the decoded base64
after `whsec_`, which is what the standard says.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, TypeAlias

from schema.values import Millis, seconds
from server.auth.errors import SignatureRefused

HeaderPrefix: TypeAlias = Literal["webhook", "svix"]

TOLERANCE: Millis = seconds(300)
MAX_ID_CHARS = 256
MAX_TIMESTAMP_DIGITS = 12
MAX_SIGNATURES = 32
STANDARD_PREFIX = "whsec_"
VERSION = "v1,"


def verify(
    headers: Mapping[str, str], body: bytes, secrets: Iterable[str], now: Millis, prefix: HeaderPrefix = "webhook"
) -> str:
    """The id of a message that was signed with one of the secrets, within five minutes. Raises `SignatureRefused`."""
    message_id = headers.get(f"{prefix}-id", "")
    if not _is_id(message_id):
        raise SignatureRefused("its id is missing or unusable")
    timestamp = headers.get(f"{prefix}-timestamp", "")
    if not _is_whole_number(timestamp):
        raise SignatureRefused("its time is missing or unusable")
    if abs(now - seconds(int(timestamp))) > TOLERANCE:
        raise SignatureRefused("its time is more than five minutes away")
    claimed = list(_signatures(headers.get(f"{prefix}-signature", "")))
    if not claimed:
        raise SignatureRefused("it has no signature of a kind that we read")
    for key in _keys(secrets):
        right = signature(key, message_id, timestamp, body).encode()
        if any(hmac.compare_digest(right, each) for each in claimed):
            return message_id
    raise SignatureRefused("its signature is wrong")


def signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """What the holder of the key writes under a message."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _keys(secrets: Iterable[str]) -> Iterator[bytes]:
    for secret in secrets:
        whole = secret.encode(errors="surrogateescape")
        decoded = _decoded(secret.removeprefix(STANDARD_PREFIX))
        # An empty key is everybody's: `whsec_` with nothing behind it must not open the gate.
        yield from (key for key in (whole, decoded) if key)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _signatures(header: str) -> Iterator[bytes]:
    """The tokens of the one version that we read; the others are not mistakes, they are for other readers."""
    for token in header.split(" ", MAX_SIGNATURES)[:MAX_SIGNATURES]:
        if token.startswith(VERSION) and token.isascii():
            yield token.removeprefix(VERSION).encode()


def _is_id(text: str) -> bool:
    return 0 < len(text) <= MAX_ID_CHARS and text.isascii() and text.isprintable()


def _is_whole_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_TIMESTAMP_DIGITS
