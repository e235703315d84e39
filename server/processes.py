"""The kinds of process: web, worker, and development's both in one. Each runs until it is told to stop, then leaves tidily."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from server.config import ConfigurationError, Settings
from server.runtime import Runtime, open_identity, open_runtime
from server.web.live import LiveProtocol

BACKLOG = 4_096
MAX_FRAME_BYTES = 17 << 20
"""A call's arguments may take 16 MiB (sync-protocol 13), and the message around them a little."""
PING_S = 60.0
REQUEST_GRACE_S = 5
KEEP_ALIVE_S = 95
SEND_BUFFER_BYTES = 128 << 10
"""Bounds what a reader who has stopped can hide in the kernel."""


class Server(uvicorn.Server):
    """Uvicorn without its own signal handling: the process decides when to stop, because more than the web stops then."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


async def run_web(settings: Settings, stop: asyncio.Event, announce: Callable[[str], None]) -> None:
    """Serve until `stop`."""
    async with listening(settings) as listener, open_runtime(settings) as runtime, serving(settings, runtime, listener):
        announce(f"Anime Leak is serving at {settings.public_url}")
        await stop.wait()


async def run_worker(settings: Settings, stop: asyncio.Event, announce: Callable[[str], None]) -> None:
    """Work until `stop`."""
    async with open_runtime(settings) as runtime, working(runtime):
        announce(f"Anime Leak worker {runtime.name} is waiting for jobs")
        await stop.wait()


async def run_dev(settings: Settings, stop: asyncio.Event, announce: Callable[[str], None]) -> None:
    """Everything in one process tree until `stop`."""
    async with (
        listening(settings) as listener,
        open_runtime(settings) as runtime,
        serving(settings, runtime, listener),
        working(runtime),
    ):
        announce(f"\n  Anime Leak is ready: {settings.public_url}\n\n  Ctrl-C stops everything.\n")
        await stop.wait()


@asynccontextmanager
async def listening(settings: Settings) -> AsyncIterator[socket.socket]:
    """The port, taken before anything is started, so that a taken one is said at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            raise ConfigurationError(
                f"HOST {settings.host} and PORT {settings.port} cannot be listened on: {error.strerror}. "
                f"Choose another port, for example PORT={settings.port + 1 if settings.port < 65_535 else 8_000}."
            ) from None
        listener.listen(BACKLOG)
        yield listener
    finally:
        listener.close()


@asynccontextmanager
async def serving(
    settings: Settings, runtime: Runtime, listener: socket.socket, *, ping_s: float = PING_S
) -> AsyncIterator[None]:
    """The web application on the listener."""
    async with open_identity(settings, runtime) as (verifier, routes):
        server = Server(
            uvicorn.Config(
                runtime.application(verifier, routes),
                http="httptools",
                ws=LiveProtocol,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                ws_max_size=MAX_FRAME_BYTES,
                ws_ping_interval=ping_s,
                ws_ping_timeout=ping_s,
                ws_per_message_deflate=True,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=REQUEST_GRACE_S,
            )
        )
        task = asyncio.create_task(server.serve(sockets=[listener]), name="web server")
        heartbeat = asyncio.create_task(runtime.heartbeat(), name="heartbeat")
        try:
            yield
        finally:
            server.should_exit = True
            await task
            heartbeat.cancel()


@asynccontextmanager
async def working(runtime: Runtime) -> AsyncIterator[None]:
    """The job loop; what runs when it ends is finished or handed back."""
    worker = runtime.open_worker()
    async with worker.working():
        yield


def stop_on_signals() -> asyncio.Event:
    """Set by Ctrl-C and by SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop
