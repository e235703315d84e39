"""A wire that a test can cut, hold and unplug: a TCP proxy on this machine.

Invariant: bytes pass unchanged and in order, or the connection ends abruptly, as when a network goes away.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

CHUNK_BYTES = 64 << 10
CONNECT_TIMEOUT_S = 10.0


class Proxy:
    """Stands between clients and the server listening on `port`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._links: set[asyncio.Task[None]] = set()
        self._flowing, self._withholding = asyncio.Event(), asyncio.Event()
        self._flowing.set()
        self._accepted = asyncio.Condition()
        self._plugged = True
        self.connections = 0

    def __repr__(self) -> str:
        state = "unplugged" if not self._plugged else "open" if self._flowing.is_set() else "holding"
        return f"<Proxy {state}, {len(self._links)} of {self.connections} connections>"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where clients connect."""
        if self._server is None:
            raise RuntimeError("the proxy is not open")
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def connected(self, count: int) -> None:
        """Wait until clients have connected this many times in all."""
        async with self._accepted:
            await self._accepted.wait_for(lambda: self.connections >= count)

    def hold(self) -> None:
        """Keep back what the server says from now on."""
        self._withholding.clear()
        self._flowing.clear()

    async def holding(self) -> None:
        """Wait until something is kept back."""
        await self._withholding.wait()

    def release(self) -> None:
        """Let everything through again."""
        self._flowing.set()

    def cut(self) -> None:
        """End every connection at once; what was kept back is lost. New connections are taken."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        self._flowing.set()

    def unplug(self) -> None:
        """Cut, and take no connections until `plug`."""
        self._plugged = False
        self.cut()

    def plug(self) -> None:
        """Take connections again."""
        self._plugged = True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._accepted:
            self.connections += 1
            self._accepted.notify_all()
        link = asyncio.current_task()
        if link is None or not self._plugged:
            writer.transport.abort()
            return
        self._links.add(link)
        link.add_done_callback(self._links.discard)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                upstream, downstream = await asyncio.open_connection("127.0.0.1", self._port)
        except (OSError, TimeoutError):
            writer.transport.abort()
            return
        ends = {writer, downstream}
        self._writers |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, downstream, None))
                group.create_task(self._pump(upstream, writer, self._flowing))
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, gate: asyncio.Event | None) -> None:
        try:
            while chunk := await source.read(CHUNK_BYTES):
                if gate is not None and not gate.is_set():
                    self._withholding.set()
                    await gate.wait()
                if sink.transport.is_closing():
                    return
                sink.write(chunk)
                await sink.drain()
            if not sink.transport.is_closing() and sink.can_write_eof():
                sink.write_eof()
        except OSError:
            sink.transport.abort()
