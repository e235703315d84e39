"""An upload while it arrives: bounded in size, silence and time, judged by its first bytes, and kept on disk.

Invariant: at no moment is more than a piece of it in memory.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from typing import IO

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from server.pictures.sniff import SNIFF_BYTES, describe, sniff
from server.web.refusals import Refused

IDLE_S = 30.0
WHOLE_BODY_S = 600.0
WRITE_BYTES = 256 * 1024

_ACCEPTED = "JPEG, PNG, WebP, HEIC and AVIF photos"


class Body:
    """A request's body, a piece at a time. `size` is what has arrived; `is_whole` says that nothing more will."""

    __slots__ = ("_deadline", "_max_bytes", "_receive", "is_whole", "size")

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive, self._max_bytes = receive, max_bytes
        self._deadline = asyncio.get_running_loop().time() + WHOLE_BODY_S
        self.size, self.is_whole = 0, False

    def __repr__(self) -> str:
        return f"<Body {self.size} of at most {self._max_bytes} bytes{', whole' if self.is_whole else ''}>"

    async def piece(self) -> bytes:
        """The next bytes, or none at the end. Raises `Refused` and `ClientDisconnect`."""
        while not self.is_whole:
            try:
                async with asyncio.timeout_at(min(self._deadline, asyncio.get_running_loop().time() + IDLE_S)):
                    message = await self._receive()
            except TimeoutError:
                raise too_slow() from None
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self.is_whole = not message.get("more_body", False)
            piece: bytes = message.get("body", b"")
            self.size += len(piece)
            if self.size > self._max_bytes:
                raise too_large(self._max_bytes)
            if piece:
                return piece
        return b""


async def keep(body: Body, file: IO[bytes], digest_header: str | None) -> None:
    """Write a body that is a picture to the file. Raises `Refused`, as early as it can, and `ClientDisconnect`."""
    expected = expected_sha256(digest_header)
    digest = hashlib.sha256()
    held = bytearray()
    is_judged = False
    while piece := await body.piece():
        held += piece
        if not is_judged and len(held) >= SNIFF_BYTES:
            judge(held[:SNIFF_BYTES])
            is_judged = True
        if len(held) >= WRITE_BYTES:
            await asyncio.to_thread(_write, file, bytes(held), digest)
            held.clear()
    if not is_judged:
        judge(held)
    await asyncio.to_thread(_write, file, bytes(held), digest)
    if expected is not None and digest.digest() != expected:
        raise Refused(400, "Sha256Mismatch", "The file was changed on its way here. Please try again.")


def judge(head: bytes | bytearray) -> None:
    """Raise `Refused` where the first bytes are those of no picture that we take."""
    if sniff(bytes(head)) is not None:
        return
    if not head:
        raise not_usable("This file is empty. Try choosing the photo again.")
    stranger = describe(bytes(head))
    raise not_usable(f"This is {stranger or 'not a photo we can read'}; we take {_ACCEPTED}.")


def expected_sha256(header: str | None) -> bytes | None:
    """The SHA-256 that a `Digest` header promises; other algorithms are no concern of ours."""
    for each in (header or "").split(","):
        name, _, value = each.strip().partition("=")
        if name.lower() == "sha-256":
            try:
                return base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                return b""
    return None


def not_usable(sentence: str) -> Refused:
    """The file is at fault."""
    return Refused(400, "VALIDATION", sentence)


def too_large(max_bytes: int) -> Refused:
    """The file has more bytes than we take."""
    limit = f"{max_bytes / 1024**2:.3g} MB" if max_bytes >= 1024**2 else f"{max_bytes / 1024:.3g} KB"
    return Refused(413, "FileTooLarge", f"This file is too large; the limit is {limit}.")


def too_slow() -> Refused:
    """The body stopped arriving."""
    return Refused(408, "UploadTimeout", "The upload stopped or took too long. Please try again.")


def _write(file: IO[bytes], content: bytes, digest: hashlib._Hash) -> None:
    digest.update(content)
    file.write(content)
    file.flush()
