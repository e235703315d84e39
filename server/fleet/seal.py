"""Names and signatures of what passes through Redis: whoever can read or write there learns no arguments and makes up no answer.

Invariant: a content opens only under the name that it was closed for, and names of two versions of the code never meet.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from subscriptions.answers import Question

NAME_BYTES = TAG_BYTES = 16


class Seal:
    """Signs with a key of its own, derived from the deployment's. `version` is that of everything that an answer follows from."""

    __slots__ = ("_key", "_version")

    def __init__(self, key: bytes, version: bytes) -> None:
        self._key = hmac.digest(key, b"anime-leak fleet v1", hashlib.sha256)
        self._version = version

    def __repr__(self) -> str:
        return f"<Seal for {self._version.hex()[:8]}>"

    def place(self, what: str) -> bytes:
        """The name of something that all versions of the code have in common."""
        return self._digest(b"place", what.encode())[:NAME_BYTES]

    def name(self, question: Question, since: str) -> bytes:
        """The name of the answer to this question that is true since then."""
        asked = (self._version, question.path, question.arguments, question.journal, since)
        return self._digest(b"name", msgspec.msgpack.encode(asked))[:NAME_BYTES]

    def close(self, name: bytes, content: bytes) -> bytes:
        """The content, signed for this name."""
        return self._tag(name, content) + content

    def open(self, name: bytes, closed: bytes) -> bytes | None:
        """The content, or None when we did not close this for this name."""
        tag, content = closed[:TAG_BYTES], closed[TAG_BYTES:]
        return content if hmac.compare_digest(tag, self._tag(name, content)) else None

    def _tag(self, name: bytes, content: bytes) -> bytes:
        return self._digest(b"content", name + content)[:TAG_BYTES]

    def _digest(self, purpose: bytes, message: bytes) -> bytes:
        return hmac.digest(self._key, purpose + b"\0" + message, hashlib.sha256)
