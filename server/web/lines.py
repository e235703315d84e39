"""The lines that clients hold to us, as uvicorn keeps them, with the limits that it does not set.

Invariant: who is slow in saying what they want, or says it at too great a length, is cut off; and nothing that a stranger
sends is an error of ours in the log.
"""

from __future__ import annotations

import asyncio

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

HEAD_DEADLINE_S = 20.0
"""From the opening of a line, or the first byte of a further request, to the end of its headers."""
MAX_HEAD_BYTES = 64 << 10

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class HttpLine(HttpToolsProtocol):
    """Requests one after the other. `_overdue` is armed while the rest is up to the client: a head, or what nobody reads."""

    _overdue: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The line was opened: its first request is waited for."""
        super().connection_made(transport)
        self._hurry()

    def connection_lost(self, exc: Exception | None) -> None:
        """The line is gone, and nothing is waited for."""
        self._take_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came. Those of a head are counted, and blank lines between requests are the beginning of one."""
        if self.cycle is None or self.cycle.response_complete:
            self._hurry()
        began_before = self._overdue is not None and not self._in_body
        super().data_received(data)
        if began_before and self._overdue is not None and not self._in_body:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head_bytes, self._in_body = 0, False
        self._hurry()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """We know what is wanted; how long a body may take is for its route to say."""
        self._in_body = True
        self._take_time()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is whole."""
        self._in_body = False
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the line over. A handshake that the other side cannot even read is refused here, or it would hang."""
        super().handle_websocket_upgrade()
        socket = self.transport.get_protocol()
        if isinstance(socket, SocketLine) and not socket.handshake_initiated:
            self.send_400_response("This is not the handshake of a WebSocket.")

    def _hurry(self) -> None:
        if self._overdue is None:
            self._overdue = self.loop.call_later(HEAD_DEADLINE_S, self.transport.close)

    def _take_time(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None


class SocketLine(WebSocketsSansIOProtocol):
    """A WebSocket whose texts are passed on as the bytes that they are: `protocol` blames what is not UTF-8."""

    async def send(self, message: ASGISendEvent) -> None:
        """A refused handshake is complete too: nothing is wrong with an application that ends after it."""
        await super().send(message)
        self.handshake_complete = self.handshake_complete or self.close_sent

    def handle_text(self, event: Frame) -> None:
        """A text, or its first part."""
        self.handle_bytes(event)
