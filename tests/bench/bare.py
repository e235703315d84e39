"""The least a server of this stack can be: uvicorn, the product's WebSocket protocol, one Starlette endpoint. Nothing behind it.

It answers each message with a finished one. Memory and reconnecting are held against it.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from server.processes import BACKLOG
from server.web.live import LiveProtocol
from tests.support.world import free_port

SOCKET_PING_S = 60
ANSWER = "x" * 4_096


class Bare(msgspec.Struct, frozen=True):
    """A bare server that runs."""

    port: int
    pid: int


@asynccontextmanager
async def bare_server() -> AsyncIterator[Bare]:
    """Start one in a process of its own."""
    port = free_port()
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.bare", str(port), stdout=PIPE)
    try:
        if server.stdout is None or not await server.stdout.readline():
            raise RuntimeError("the bare server did not start")
        yield Bare(port, server.pid)
    finally:
        server.kill()
        await server.wait()


async def endpoint(websocket: WebSocket) -> None:
    """Answer what comes, whatever it is."""
    await websocket.accept()
    while (await websocket.receive())["type"] != "websocket.disconnect":  # a text comes as the bytes that it is
        await websocket.send_text(ANSWER)


class Server(uvicorn.Server):
    """Says that it has started."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        print("ready", flush=True)


def serve(port: int) -> None:
    """Until killed."""
    application = Starlette(routes=[WebSocketRoute("/api/sync", endpoint)])
    settings = uvicorn.Config(
        application,
        port=port,
        loop="uvloop",
        backlog=BACKLOG,
        http="httptools",
        ws=LiveProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        ws_ping_interval=SOCKET_PING_S,
        ws_ping_timeout=SOCKET_PING_S,
    )
    Server(settings).run()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
