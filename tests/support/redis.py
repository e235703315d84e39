"""A real Redis of a test's own, that it can kill, freeze and bring back at the same address."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.world import free_port

DEADLINE_S = 20.0
RETRY_S = 0.02


class RedisServer:
    """One `redis-server` that keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self._server: asyncio.subprocess.Process | None = None

    def __repr__(self) -> str:
        return f"<RedisServer {self.url} {'down' if self._server is None else 'up'}>"

    @property
    def url(self) -> str:
        """What `REDIS_URL` is set to."""
        return f"redis://127.0.0.1:{self._port}/0"

    async def start(self) -> None:
        """Start it, empty; returns once it answers."""
        program = shutil.which("redis-server")
        assert program is not None, "redis-server is needed; make test installs it"
        options = ("--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        self._server = await asyncio.create_subprocess_exec(
            program, *options, cwd=self._folder, stdout=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(DEADLINE_S):
            while not await self._answers():  # noqa: ASYNC110  # nothing but asking tells
                await asyncio.sleep(RETRY_S)

    async def kill(self) -> None:
        """End it at once."""
        if self._server is not None:
            self._server.kill()
            await self._server.wait()
            self._server = None

    def freeze(self) -> None:
        """It takes connections and answers nothing."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was frozen."""
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    async def flush(self) -> None:
        """It forgets everything."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"FLUSHALL\r\n")
        assert await reader.readline() == b"+OK\r\n"
        writer.close()
        await writer.wait_closed()

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.write(b"PING\r\n")
        is_up = await reader.readline() == b"+PONG\r\n"
        writer.close()
        await writer.wait_closed()
        return is_up


@asynccontextmanager
async def redis_server(folder: Path) -> AsyncIterator[RedisServer]:
    """A running Redis."""
    server = RedisServer(folder)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()
