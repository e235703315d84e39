"""Many lines written to past their transports: over real connections, of which some are full, some broken, some gone."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from server.web.live import LiveLine, LiveRow, finished
from subscriptions.push import Push

SMALL_BUFFER = 4_096
PUSH = Push(random.Random(7).randbytes(200_000).hex().encode())


class Connection(asyncio.Protocol):
    """Our end: the transport, its line, and a client's socket on the other side."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.line: LiveLine | None = None
        self.filled, self.drained = 0, asyncio.Event()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=0)
        self.line = LiveLine(transport, None)
        self.line.writable = True
        self.line.notify(self._drained, self._filled)

    def connection_lost(self, exc: Exception | None) -> None:
        self.live.over()
        self.lost.set()

    def pause_writing(self) -> None:
        self.live.shut()

    def resume_writing(self) -> None:
        self.live.resumed()

    @property
    def live(self) -> LiveLine:
        assert self.line is not None
        return self.line

    def _filled(self) -> None:
        self.filled += 1

    def _drained(self) -> None:
        self.drained.set()

    async def read(self, size: int) -> bytes:
        loop, taken = asyncio.get_running_loop(), b""
        async with asyncio.timeout(20):
            while len(taken) < size:
                taken += await loop.sock_recv(self.client, size - len(taken))
        return taken


@asynccontextmanager
async def connections(count: int) -> AsyncIterator[tuple[LiveRow, list[Connection]]]:
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    made: list[Connection] = []
    try:
        for _ in range(count):
            client = socket.create_connection(listener.getsockname())
            client.setblocking(False)
            ours, _ = listener.accept()
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
            _, connection = await loop.connect_accepted_socket(partial(Connection, client), ours)
            made.append(connection)
        row = made[0].live.row()
        for connection in made:
            row.append(connection.live)
        yield row, made
    finally:
        listener.close()
        for connection in made:
            connection.client.close()
            connection.live.abort()
            await connection.lost.wait()


async def test_a_frame_reaches_whom_it_is_for_and_nobody_else() -> None:
    async with connections(5) as (row, made):
        short = Push(b"hello")
        row.swap(0, 4)
        assert row.write(short, 1, 3) == []
        assert row.pop() is made[0].live
        assert row.write(Push(b"again"), 0, 1) == []
        frame = finished(short, None)
        assert [await made[place].read(len(frame)) for place in (1, 2)] == [frame, frame]
        assert await made[4].read(7) == finished(Push(b"again"), None)
        with pytest.raises(BlockingIOError):
            made[0].client.recv(1)
        assert repr(row) == "<LiveRow of 4, deflate None>"


async def test_what_was_not_taken_follows_by_the_transport_in_order() -> None:
    """A reader that does not read takes a part of the first frame; every byte arrives once it reads, and nothing overtakes it."""
    async with connections(2) as (row, made):
        frame, slow = finished(PUSH, None), made[0]
        (finish, *others) = row.write(PUSH, 0, 2)
        assert len(others) == 1
        assert slow.filled == 0
        finish()
        assert (slow.filled, slow.live.writable) == (1, False), "it says that it is full, and is to be taken out"
        assert not slow.live.write(Push(b"later"))
        assert await slow.read(len(frame)) == frame
        await slow.drained.wait()
        assert slow.live.write(Push(b"later"))
        assert await slow.read(7) == finished(Push(b"later"), None)


async def test_a_line_that_has_broken_ends_and_the_others_get_theirs() -> None:
    async with connections(3) as (row, made):
        made[1].client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        made[1].client.close()
        short = Push(b"hello")
        for _ in range(3):  # the first write after a reset may still be taken
            for finish in row.write(short, 0, 3):
                finish()
        async with asyncio.timeout(20):
            await made[1].lost.wait()
        assert made[1].filled == 1
        assert await made[2].read(3 * 7) == 3 * finished(short, None)


def test_a_line_behind_tls_cannot_be_bundled() -> None:
    class Encrypted:
        def get_extra_info(self, name: str) -> object:
            return {"sslcontext": object(), "socket": socket}.get(name)

    assert LiveLine(Encrypted(), None).kind is None
