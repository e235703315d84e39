"""Live lines: WebSockets whose frames are built once, deflated at most once, and written to any number of sockets.

uvicorn's public option `ws=` takes a protocol class; this one hands the application a `LiveLine` in the scope. It leans on
names of uvicorn's class that are not documented for that, so uvicorn is pinned and tests decode every form, stop reading and
stop the server.

Invariant: a shared frame is no part of any socket's history: compression knows no context takeover in either direction, and
what is sent through ASGI goes out plain. A line that is closing has `GRACE_S` to drain, then it is cut, for a reader that has
stopped would hold it for ever.
"""

from __future__ import annotations

import os
import zlib
from array import array
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from itertools import repeat
from typing import Any, cast

from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import ExtensionParameter

from server.web.lines import SocketLine
from subscriptions.push import Push

EXTENSION = "anime.live"
GRACE_S = 3.0
DEFLATE_FROM_BYTES = 1_024
"""Shorter messages are not worth compressing."""
DEFLATE_LEVEL = 1
TEXT, DEFLATED = 0x81, 0xC1
"""A final text frame, without and with RSV1 (RFC 6455 5.2, RFC 7692 6)."""


class LiveLine:
    """One socket's line, for the loop's thread only."""

    __slots__ = ("_bits", "_drained", "_filled", "_transport", "is_cut", "is_silent", "writable")

    def __init__(self, transport: Any, bits: int | None) -> None:
        self._transport, self._bits = transport, bits
        self._drained: Callable[[], None] | None = None
        self._filled: Callable[[], None] | None = None
        self.writable = self.is_cut = self.is_silent = False

    def __repr__(self) -> str:
        return f"<LiveLine {'writable' if self.writable else 'not writable'}, deflate {self._bits}>"

    def write(self, push: Push) -> bool:
        """Write a whole frame; false when the line is full or over."""
        if not self.writable or self._transport.is_closing():
            return False
        form = push.forms.get(self._bits)
        self._transport.write(form if form is not None else finished(push, self._bits))
        return True

    def notify(self, drained: Callable[[], None], filled: Callable[[], None]) -> None:
        """Call `filled` when the line begins to take nothing, and `drained` when it takes frames again."""
        self._drained, self._filled = drained, filled

    @property
    def kind(self) -> Hashable | None:
        """What distinguishes the forms of frames; None for a line that cannot be reached by its descriptor."""
        return None if self.descriptor is None else ("deflate", self._bits)

    @property
    def descriptor(self) -> int | None:
        """Of the connection itself; there is none behind TLS."""
        if self._transport.get_extra_info("sslcontext") is not None:
            return None
        connection = self._transport.get_extra_info("socket")
        return None if connection is None else connection.fileno()

    def row(self) -> LiveRow:
        """An empty row for lines of this kind."""
        return LiveRow(self._bits)

    def finish(self, rest: bytes) -> None:
        """Write the rest of a frame that was not taken whole. It waits in the transport, and the line is full."""
        if not self._transport.is_closing():
            self._transport.write(rest)

    def shut(self) -> None:
        """Nothing is taken for now, or any more."""
        was_writable, self.writable = self.writable, False
        if was_writable and self._filled is not None:
            self._filled()

    def resumed(self) -> None:
        """The line has emptied."""
        self.writable = True
        if self._drained is not None:
            self._drained()

    def over(self) -> None:
        """Nothing can be written any more."""
        self.shut()
        self._drained = self._filled = None

    def abort(self) -> None:
        """Cut the line."""
        self.is_cut = True
        self.shut()
        self._transport.abort()


class LiveRow:
    """Lines of one form in a row. Frames go to their descriptors, past the transports, whose buffers are empty.

    Invariant: every line is writable. A line that ceases to be says so before its transport buffers or closes anything, and is
    taken out; so no frame overtakes what a transport holds, and no descriptor is another connection's by now.
    """

    __slots__ = ("_bits", "_descriptors", "_lines")

    def __init__(self, bits: int | None) -> None:
        self._bits = bits
        self._lines: list[LiveLine] = []
        self._descriptors = array("i")

    def __repr__(self) -> str:
        return f"<LiveRow of {len(self._lines)}, deflate {self._bits}>"

    def append(self, line: LiveLine) -> None:
        """Add a line at the end."""
        self._descriptors.append(-1 if line.descriptor is None else line.descriptor)
        self._lines.append(line)

    def swap(self, one: int, other: int) -> None:
        """Let two lines change places."""
        lines, descriptors = self._lines, self._descriptors
        lines[one], lines[other] = lines[other], lines[one]
        descriptors[one], descriptors[other] = descriptors[other], descriptors[one]

    def pop(self) -> LiveLine:
        """Take out the last line."""
        self._descriptors.pop()
        return self._lines.pop()

    def write(self, push: Push, start: int, stop: int) -> list[Callable[[], None]]:
        """Write a frame to the lines from `start` to before `stop`; how to finish with those that did not take it whole."""
        frame, taken = finished(push, self._bits), list[int]()
        while start + len(taken) < stop:
            try:  # in C, from one to the next: the interpreter's part is a tenth of the whole otherwise
                taken.extend(map(os.write, self._descriptors[start + len(taken) : stop], repeat(frame)))
            except OSError:  # full, or broken: the transport finds out which
                taken.append(0)
        if sum(taken) == len(frame) * len(taken):
            return []
        return [
            partial(line.finish, frame[size:])
            for line, size in zip(self._lines[start:stop], taken, strict=True)
            if size != len(frame)
        ]


def finished(push: Push, bits: int | None) -> bytes:
    """The frame of a message for lines that agreed on this deflate window, made once. Server frames are not masked."""
    form = push.forms.get(bits)
    if form is None:
        head, body = TEXT, push.text
        if bits is not None and len(body) >= DEFLATE_FROM_BYTES:
            # A fresh compressor, so that no frame refers to an earlier one, and no window above the one agreed on.
            deflate = zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, -bits)
            head, body = DEFLATED, (deflate.compress(body) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
        form = push.forms[bits] = bytes([head]) + _length(len(body)) + body
    return form


def _length(size: int) -> bytes:
    if size < 126:
        return bytes([size])
    return b"\x7e" + size.to_bytes(2, "big") if size < 1 << 16 else b"\x7f" + size.to_bytes(8, "big")


class SharedDeflate(ServerPerMessageDeflateFactory):
    """Agrees on compression without context takeover both ways."""

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Any]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        """Agree, and leave what ASGI sends on the socket uncompressed, which the extension always allows."""
        answer, extension = super().process_request_params(params, accepted_extensions)
        extension.encode = _plain  # type: ignore[method-assign]
        return answer, extension


def _plain(frame: Frame) -> Frame:
    return frame


SHARED_DEFLATE = SharedDeflate(server_no_context_takeover=True, client_no_context_takeover=True)


class LiveProtocol(SocketLine):
    """uvicorn's WebSocket with a `LiveLine` in its scope's extensions."""

    live: LiveLine | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        extensions = [SHARED_DEFLATE] if self.config.ws_per_message_deflate else []
        self.conn = ServerProtocol(extensions=extensions, max_size=self.config.ws_max_size, logger=self.logger)

    def connection_made(self, transport: Any) -> None:
        """A line is full when the kernel takes no more: nothing piles up here."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)

    async def run_asgi(self) -> None:
        """The application, after the handshake was negotiated."""
        deflate = next((each for each in self.conn.extensions if isinstance(each, PerMessageDeflate)), None)
        self.live = LiveLine(self.transport, None if deflate is None else deflate.local_max_window_bits)
        extensions = cast(dict[str, object], self.scope["extensions"])
        extensions[EXTENSION] = self.live
        try:
            await super().run_asgi()
        finally:
            if not self.disconnected:  # also a client that says good-bye and reads no further
                self._cut_after_grace()

    async def send(self, message: Any) -> None:
        """What ASGI sends: accepting opens the line, closing ends it."""
        await super().send(message)
        if self.live is not None and message["type"] != "websocket.send":
            if self.conn.state is OPEN and self.writable.is_set():
                self.live.writable = True
            else:
                self.live.shut()
            if message["type"] == "websocket.close":
                self._cut_after_grace()

    def pause_writing(self) -> None:
        """The kernel took no more."""
        super().pause_writing()
        if self.live is not None:
            self.live.shut()

    def resume_writing(self) -> None:
        """The kernel took all."""
        super().resume_writing()
        if self.live is not None and self.conn.state is OPEN:
            self.live.resumed()

    def data_received(self, data: bytes) -> None:
        """Bytes came; they may have been a farewell, after which nothing may be written."""
        super().data_received(data)
        if self.live is not None and self.transport.is_closing():
            self.live.shut()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the line."""
        super().connection_lost(exc)
        if self.live is not None:
            self.live.over()

    def shutdown(self) -> None:
        """The server stops: 1012, and no waiting for readers that have stopped."""
        if self.close_sent or not self.handshake_complete or self.conn.state is OPEN:
            super().shutdown()
        else:  # the client is leaving by itself, and may not be told twice
            self.transport.close()
        self._cut_after_grace()

    def keepalive_timeout(self) -> None:
        """The client has not answered a ping."""
        super().keepalive_timeout()
        if self.live is not None:
            self.live.is_silent = True
        self._cut_after_grace()

    def _cut_after_grace(self) -> None:
        if self.live is not None:
            self.live.shut()
        self.loop.call_later(GRACE_S, self.transport.abort)
