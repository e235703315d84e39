"""A load balancer as stands in front of web processes: it asks each whether it is ready, and sends new connections where it is.

Invariant: bytes pass unchanged. A connection stays where it went; what cannot be connected is tried at the next.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK_BYTES = 64 << 10
ASKED_EVERY_S = 0.1
PATIENCE_S = 30.0
QUESTION = b"GET /readyz HTTP/1.1\r\nHost: balancer\r\nConnection: close\r\n\r\n"


class Balancer:
    """Stands between clients and whoever is ready among `ports`. Made by `balancing`."""

    def __init__(self) -> None:
        self.url = ""
        self.ports: list[int] = []
        self.sent: Counter[int] = Counter()
        self._ready: list[int] = []
        self._turn = 0
        self._change = asyncio.Condition()

    def __repr__(self) -> str:
        return f"<Balancer {self._ready} ready of {self.ports}>"

    async def ready(self, *ports: int) -> None:
        """Wait until exactly these are sent to."""
        async with asyncio.timeout(PATIENCE_S), self._change:
            await self._change.wait_for(lambda: set(self._ready) == set(ports))

    async def is_sent_to(self, port: int) -> None:
        """Wait until this one is among those that are sent to."""
        async with asyncio.timeout(PATIENCE_S), self._change:
            await self._change.wait_for(lambda: port in self._ready)

    async def look(self) -> None:
        """Ask each again and again, for ever."""
        while True:
            asked = list(self.ports)
            answers = await asyncio.gather(*map(_is_ready, asked))
            async with self._change:
                self._ready = [port for port, ready in zip(asked, answers, strict=True) if ready]
                self._change.notify_all()
            await asyncio.sleep(ASKED_EVERY_S)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection, from beginning to end."""
        ends = [writer]
        try:
            upstream, downstream = await self._connect()
            ends.append(downstream)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, downstream))
                group.create_task(_pump(upstream, writer))
        except TimeoutError:  # nobody is ready
            return
        finally:
            for end in ends:
                await _closed(end)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async with self._change:
                    await self._change.wait_for(lambda: bool(self._ready))
                    self._turn += 1
                    port = self._ready[self._turn % len(self._ready)]
                try:
                    connection = await asyncio.open_connection("127.0.0.1", port)
                except OSError:  # it has gone since it was asked
                    await asyncio.sleep(ASKED_EVERY_S)
                else:
                    self.sent[port] += 1
                    return connection


async def _is_ready(port: int) -> bool:
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(QUESTION)
                answer = await reader.read(64)
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        return False
    return answer.startswith(b"HTTP/1.1 200")


async def _closed(end: asyncio.StreamWriter) -> None:
    """What was written still leaves, if there is time for it."""
    end.close()
    try:
        await end.wait_closed()
    except OSError:
        pass
    finally:
        end.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while chunk := await source.read(CHUNK_BYTES):
            sink.write(chunk)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
    except OSError:
        sink.transport.abort()


@asynccontextmanager
async def balancing() -> AsyncIterator[Balancer]:
    """A running one that knows of no process yet."""
    balancer = Balancer()
    links: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.create_task(balancer.take(reader, writer))
        links.add(link)
        link.add_done_callback(links.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    balancer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    looking = asyncio.create_task(balancer.look(), name="balancer")
    try:
        yield balancer
    finally:
        server.close()
        for task in (looking, *links):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        await asyncio.gather(*links, return_exceptions=True)
