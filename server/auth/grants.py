"""Permissions and page positions as signed text: compact, URL-safe, unforgeable, and each good for one purpose only.

Invariant: every purpose signs with its own key derived from ours, and what a text is bound to is under the signature,
so a text opens only where it was sealed for. Signed is not secret: whoever holds a text can read what is inside.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

import msgspec

from schema.errors import InvalidCursor
from schema.paging import MAX_CURSOR_CHARS, Position
from schema.values import Millis, Scalar, hours, minutes
from server.auth.errors import GrantRefused

UPLOAD_LIFETIME_MS = hours(1)
EXPLAIN_LIFETIME_MS = minutes(1)
MIN_KEY_BYTES = 32
TAG_BYTES = 16
MAX_GRANT_CHARS = 2_048


class UploadGrant(msgspec.Struct, frozen=True, array_like=True):
    """Permission for `subject` to upload one blob. The upload spends the nonce; the caller keeps account of that."""

    subject: str
    nonce: str
    expires_at: Millis


class Grants:
    """Issues and checks permissions."""

    __slots__ = ("_explanations", "_files", "_uploads")

    def __init__(self, key: bytes) -> None:
        self._uploads = _Seal(key, b"upload")
        self._files = _Seal(key, b"file")
        self._explanations = _Seal(key, b"explain")

    def __repr__(self) -> str:
        return "Grants(uploads)"

    def upload_token(self, subject: str, now: Millis, nonce: str) -> str:
        """Permission for this person to upload one blob, good for UPLOAD_LIFETIME_MS."""
        token = self._uploads.seal(b"", msgspec.msgpack.encode(UploadGrant(subject, nonce, now + UPLOAD_LIFETIME_MS)))
        if len(token) > MAX_GRANT_CHARS:
            raise ValueError("subject and nonce are too long for an upload token")
        return token

    def file_key(self, blob_id: str) -> str:
        """What opens a file that strangers may not read; for its owner's eyes."""
        return self._files.seal(blob_id.encode(), b"")

    def opens_file(self, blob_id: str, key: str) -> bool:
        """Is this the file's key?"""
        return len(key) <= MAX_GRANT_CHARS and self._files.open(blob_id.encode(), key) is not None

    def explain_permit(self, path: str, now: Millis) -> str:
        """Permission to see why this function ran, for whoever can read the key, good for EXPLAIN_LIFETIME_MS."""
        return self._explanations.seal(path.encode(), msgspec.msgpack.encode(now + EXPLAIN_LIFETIME_MS))

    def permits_explaining(self, path: str, permit: str, now: Millis) -> bool:
        """Is this such a permission, and still good?"""
        content = self._explanations.open(path.encode(), permit) if len(permit) <= MAX_GRANT_CHARS else None
        return content is not None and now < msgspec.msgpack.decode(content, type=float)

    def open_upload(self, token: str, now: Millis) -> UploadGrant:
        """The permission in this token. Raises `GrantRefused`."""
        content = self._uploads.open(b"", token) if len(token) <= MAX_GRANT_CHARS else None
        if content is None:
            raise GrantRefused("invalid")
        try:
            grant = msgspec.msgpack.decode(content, type=UploadGrant)
        except msgspec.MsgspecError:
            raise GrantRefused("invalid") from None
        if not now < grant.expires_at:
            raise GrantRefused("expired")
        return grant


class SignedCursors:
    """The cursor codec of `schema.paging`: the position travels in the text, its binding only under the signature."""

    __slots__ = ("_cursors",)

    def __init__(self, key: bytes) -> None:
        self._cursors = _Seal(key, b"cursor")

    def __repr__(self) -> str:
        return "SignedCursors()"

    def seal(self, binding: str, position: Position) -> str:
        """The position as text that opens under the same binding only."""
        text = self._cursors.seal(binding.encode(), msgspec.msgpack.encode(position.values))
        if len(text) > MAX_CURSOR_CHARS:
            raise ValueError("an index with values this long cannot be paged: its cursors would exceed their limit")
        return text

    def open(self, binding: str, text: str) -> Position:
        """The position again. Raises `InvalidCursor`."""
        content = self._cursors.open(binding.encode(), text) if len(text) <= MAX_CURSOR_CHARS else None
        if content is None:
            raise InvalidCursor
        try:
            return Position(_position_values.decode(content))
        except msgspec.MsgspecError:
            raise InvalidCursor from None


_position_values: msgspec.msgpack.Decoder[tuple[Scalar, ...]] = msgspec.msgpack.Decoder(
    tuple[bool | int | float | str | None, ...]
)


class _Seal:
    """Signs contents for one purpose. The text is base64 of tag and content, in its one canonical spelling."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes, purpose: bytes) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"a signing key needs at least {MIN_KEY_BYTES} bytes")
        self._key = hmac.digest(key, b"anime-leak grant v1: " + purpose, hashlib.sha256)

    def seal(self, binding: bytes, content: bytes) -> str:
        return _encode(self._tag(binding, content) + content)

    def open(self, binding: bytes, text: str) -> bytes | None:
        """The content, or None when this text was not sealed by us for this binding."""
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        # Unused bits and foreign alphabets would let one content have several texts.
        if _encode(sealed) != text:
            return None
        tag, content = sealed[:TAG_BYTES], sealed[TAG_BYTES:]
        return content if hmac.compare_digest(tag, self._tag(binding, content)) else None

    def _tag(self, binding: bytes, content: bytes) -> bytes:
        # The length keeps the two parts apart: no binding can borrow bytes from a content.
        message = len(binding).to_bytes(8, "big") + binding + content
        return hmac.digest(self._key, message, hashlib.sha256)[:TAG_BYTES]


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
