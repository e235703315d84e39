"""`Line`: the leanest WebSocket of a client, of which one process can keep thousands. It offers no extension.

Invariant: texts arrive whole and in order; once the line is over, `closed` says why, in a few words, and nothing more arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

UNMASKED = b"\0\0\0\0"
"""Masking with zeros changes nothing, and the server cannot tell."""
TEXT, CONTINUED, CLOSE, PING = 1, 0, 8, 9
FINAL, MASKED, LENGTH = 0x80, 0x80, 0x7F
HELLO = (
    "GET /api/1.48.0/sync HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Refused(Exception):
    """The server did not open the line; the text is what it answered instead."""


class Line(asyncio.Protocol):
    """One socket. `heard` is called with each text."""

    def __init__(self, port: int, heard: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        self._port, self._heard = port, heard
        self._transport: asyncio.Transport | None = None
        self._rest = self._text = b""
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[str] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(HELLO.format(port=self._port).encode())

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("lost" if exc is None else type(exc).__name__)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        if not self.opened.done():
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            if head[9:12] != b"101":
                self._end(head.split(b"\r\n", 1)[0].decode(errors="replace"))
                self.abort()
                return
            self.opened.set_result(None)
        self._rest = self._frames(data)

    def send(self, texts: list[bytes]) -> None:
        """Send these, each as a frame of its own."""
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(b"".join(_frame(FINAL | TEXT, each) for each in texts))

    def abort(self) -> None:
        """End it without a word."""
        if self._transport is not None:
            self._transport.abort()

    def leave(self) -> None:
        """Say good-bye, as a page does that is closed."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_frame(FINAL | CLOSE, (1000).to_bytes(2, "big")))
            self._transport.close()

    def _frames(self, data: bytes) -> bytes:
        """Take in what is whole; what is left over."""
        at, end = 0, len(data)
        while end - at >= 2:
            kind, size, body = data[at], data[at + 1] & LENGTH, at + 2
            if size >= 126:
                wide = 2 if size == 126 else 8
                size, body = int.from_bytes(data[body : body + wide], "big"), body + wide
            if body + size > end:
                break
            at = body + size
            self._frame(kind, data[body:at])
        return data[at:]

    def _frame(self, kind: int, body: bytes) -> None:
        opcode = kind & 0x0F
        if opcode in (TEXT, CONTINUED):
            body = self._text + body if self._text else body
            self._text = b"" if kind & FINAL else body
            if kind & FINAL and not self.closed.done():
                self._heard(body)
        elif opcode == CLOSE:
            code, reason = int.from_bytes(body[:2], "big") or 1005, body[2:].decode(errors="replace")
            self._end(f"closed {code} {reason}".rstrip())
            self.leave()
        elif opcode == PING and self._transport is not None:
            self._transport.write(_frame(FINAL | 10, body))

    def _end(self, why: str) -> None:
        if not self.opened.done():
            self.opened.set_exception(Refused(why))
            self.opened.exception()  # seen, also when nobody waits any more
        if not self.closed.done():
            self.closed.set_result(why)


def _frame(kind: int, body: bytes) -> bytes:
    size = len(body)
    if size < 126:
        return bytes((kind, MASKED | size)) + UNMASKED + body
    if size < 1 << 16:
        return bytes((kind, MASKED | 126)) + size.to_bytes(2, "big") + UNMASKED + body
    return bytes((kind, MASKED | 127)) + size.to_bytes(8, "big") + UNMASKED + body
