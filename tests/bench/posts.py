"""The leanest HTTP client that still is one: requests prepared as bytes, over a few connections that are kept.

What a benchmark's client spends on a request comes off what the servers under it have left of the machine.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

DEADLINE_S = 60.0
KEPT_S = 2.0
"""How long a connection may lie idle before it is opened anew: both servers close theirs after five seconds."""
OK = frozenset({b"200", b"201"})


class Connection(msgspec.Struct, frozen=True):
    """Open, and idle until it is used again."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    good_until: float


async def _open(port: int) -> Connection:
    return Connection(*await asyncio.open_connection("127.0.0.1", port), time.monotonic() + KEPT_S)


class Posts:
    """Connections to one server. Each carries one request at a time; who finds all of them busy waits for the first."""

    def __init__(self, port: int, connections: list[Connection]) -> None:
        self._port, self._size = port, len(connections)
        self._free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for each in connections:
            self._free.put_nowait(each)

    def __repr__(self) -> str:
        return f"<Posts over {self._size}, {self._free.qsize()} free>"

    async def send(self, request: str, headers: dict[str, str], content: object) -> dict[str, Any]:
        """Ask for "PUT /path" or the like with a JSON body; what is answered. Raises `RuntimeError` if it is not a success."""
        body = json.dumps(content).encode()
        lines = [f"{request} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        connection = await self._free.get()
        try:
            async with asyncio.timeout(DEADLINE_S):
                if time.monotonic() > connection.good_until:
                    connection.writer.close()
                    connection = await _open(self._port)
                reader, writer = connection.reader, connection.writer
                writer.write(head.encode() + body)
                reply = await reader.readuntil(b"\r\n\r\n")
                length = reply.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                answer = await reader.readexactly(int(length))
        finally:
            self._free.put_nowait(msgspec.structs.replace(connection, good_until=time.monotonic() + KEPT_S))
        if reply.split(b" ", 2)[1] not in OK:
            raise RuntimeError(f"{request} was answered with {answer.decode()}")
        found: dict[str, Any] = json.loads(answer)
        return found

    def close(self) -> None:
        """Those that carry nothing, which at the end are all."""
        while not self._free.empty():
            self._free.get_nowait().writer.close()


@asynccontextmanager
async def posts(port: int, connections: int) -> AsyncIterator[Posts]:
    """Open them."""
    kept = Posts(port, [await _open(port) for _ in range(connections)])
    try:
        yield kept
    finally:
        kept.close()
