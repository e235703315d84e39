"""`RawSocket`: a bare WebSocket that sends whatever a test wants, and keeps everything that comes back.

Invariant: nothing is interpreted but JSON; pings of the application are kept and not returned.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.world import World

Message: TypeAlias = dict[str, Any]

DEADLINE_S = 20.0
ANY_SIZE = None


class RawSocket:
    """One socket. `received` is every text that arrived."""

    def __init__(self, line: ClientConnection) -> None:
        self._line = line
        self.received: list[str] = []

    def __repr__(self) -> str:
        return f"<RawSocket {len(self.received)} messages>"

    async def send(self, frame: str | bytes | Message) -> None:
        """Send a text, bytes as a binary frame, or a message as JSON."""
        await self._line.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    def announce(self, length: int) -> None:
        """Send the head of a text frame so long, and nothing of the frame."""
        self._line.transport.write(b"\x81\xff" + struct.pack(">Q", length) + bytes(4))

    async def receive(self, wanted: str | None = None) -> Message:
        """The next message, or the next of the wanted type."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                text = await self._line.recv()
                assert isinstance(text, str)
                self.received.append(text)
                message: Message = json.loads(text)
                if message["type"] == (wanted or message["type"]) != "Ping":
                    return message

    async def closed(self) -> tuple[int, str]:
        """Read to the end; the code and reason with which the server closed."""
        try:
            while True:
                await self.receive()
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")

    async def authenticate(self, token: str, base_version: int = 0) -> None:
        """Claim to be the token's owner."""
        await self.send({"type": "Authenticate", "baseVersion": base_version, "tokenType": "User", "value": token})

    async def add(self, query_id: int, path: str, args: Message, base_version: int = 0) -> None:
        """Watch a query."""
        added = {"type": "Add", "queryId": query_id, "udfPath": path, "args": [args]}
        version = {"baseVersion": base_version, "newVersion": base_version + 1}
        await self.send({"type": "ModifyQuerySet", **version, "modifications": [added]})

    async def mutate(self, request_id: int, path: str, args: Message) -> None:
        """Ask for a mutation."""
        await self.send({"type": "Mutation", "requestId": request_id, "udfPath": path, "args": [args]})


@asynccontextmanager
async def raw_socket(
    world: World, path: str = "/api/1.48.0/sync", *, origin: str | None = None
) -> AsyncIterator[RawSocket]:
    """An open socket on which nothing was said yet."""
    address = f"{world.url.replace('http', 'ws', 1)}{path}"
    headers = {} if origin is None else {"Origin": origin}
    line = await connect(address, additional_headers=headers, proxy=None, max_size=ANY_SIZE, compression=None)
    try:
        yield RawSocket(line)
    finally:
        await line.close()
