"""The kinds of process: web, worker, and development's both in one. Each runs until it is told to stop, then leaves tidily."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from server.config import ConfigurationError, Settings
from server.dev.page_build import WEB, PageNotBuilt, build_page, is_current
from server.issuers import open_identity
from server.runtime import Runtime, open_runtime
from server.web.health import health_routes
from server.web.lines import HttpLine
from server.web.live import LiveProtocol
from server.web.page import Site

BACKLOG = 4_096
MAX_FRAME_BYTES = 17 << 20
"""A call's arguments may take 16 MiB (sync-protocol 13), and the message around them a little."""
REQUEST_GRACE_S = 5
KEEP_ALIVE_S = 95
STOPPING = (signal.SIGINT, signal.SIGTERM)
INSISTING_AFTER_S = 1.0
"""Supervisors tell a process and its whole group in one breath; that is not saying it again."""
PAGE_LOG = "page-build.log"
SEND_BUFFER_BYTES = 128 << 10
"""Bounds what a reader who has stopped can hide in the kernel."""


Tell = Callable[[Runtime], AbstractAsyncContextManager[None]]


class Server(uvicorn.Server):
    """Uvicorn without its own signal handling: the process decides when to stop, because more than the web stops then."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


async def run_web(settings: Settings, stop: asyncio.Event, announce: Callable[[str], None]) -> None:
    """Serve until `stop`, then see everybody off."""
    async with listening(settings) as listener, open_runtime(settings) as runtime, serving(settings, runtime, listener):
        announce(f"Anime Leak is serving at {settings.public_url}")
        await stop.wait()
        await runtime.drain()


async def run_worker(settings: Settings, stop: asyncio.Event, announce: Callable[[str], None]) -> None:
    """Work until `stop`."""
    async with telling(settings) as tell, open_runtime(settings) as runtime, working(runtime), tell(runtime):
        announce(f"Anime Leak worker {runtime.name} is waiting for jobs")
        await stop.wait()


async def run_dev(settings: Settings, stop: asyncio.Event, announce: Callable[[str], None]) -> None:
    """Everything in one process tree until `stop`."""
    async with (
        listening(settings) as listener,
        open_runtime(settings) as runtime,
        serving(settings, runtime, listener),
        working(runtime),
        building(settings, runtime.site, announce),
    ):
        announce(f"\n  Anime Leak is ready: {settings.public_url}\n\n  Ctrl-C stops everything.\n")
        await stop.wait()
        await runtime.drain()


@asynccontextmanager
async def listening(
    settings: Settings, port: int | None = None, variable: str = "PORT"
) -> AsyncIterator[socket.socket]:
    """The port, taken before anything is started, so that a taken one is said at once."""
    host, port = settings.host, port or settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Said to be TCP in so many words: only then does asyncio send small writes at once instead of 40 ms later.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"HOST {host} and {variable} {port} cannot be listened on: {error.strerror}. "
                f"Choose another port, for example {variable}={port + 1 if port < 65_535 else 8_000}."
            ) from None
        listener.listen(BACKLOG)
        yield listener
    finally:
        listener.close()


@asynccontextmanager
async def serving(settings: Settings, runtime: Runtime, listener: socket.socket) -> AsyncIterator[None]:
    """The web application on the listener."""
    async with open_identity(settings, runtime) as (verifier, routes):
        server = Server(
            uvicorn.Config(
                runtime.application(verifier, routes),
                http=HttpLine,
                ws=LiveProtocol,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                ws_max_size=MAX_FRAME_BYTES,
                ws_ping_interval=settings.socket_ping_s,
                ws_ping_timeout=settings.socket_ping_s,
                ws_per_message_deflate=True,
                timeout_keep_alive=KEEP_ALIVE_S,
                forwarded_allow_ips=settings.forwarded_allow_ips,
                timeout_graceful_shutdown=REQUEST_GRACE_S,
            )
        )
        async with (
            asyncio.TaskGroup() as group
        ):  # whoever of them fails is the end of all: nobody serves without a heartbeat
            web = group.create_task(server.serve(sockets=[listener]), name="web server")
            beside = [group.create_task(each) for each in (runtime.heartbeat(), runtime.fleet.run())]
            try:
                yield
            finally:
                server.should_exit = True
                await asyncio.wait((web,))
                for each in beside:
                    each.cancel()


@asynccontextmanager
async def telling(settings: Settings) -> AsyncIterator[Tell]:
    """What a worker tells operators of itself, where they asked for it by a port."""
    if settings.metrics_port is None:
        yield lambda _: nullcontext()
        return
    async with listening(settings, settings.metrics_port, "METRICS_PORT") as listener:

        @asynccontextmanager
        async def tell(runtime: Runtime) -> AsyncIterator[None]:
            app = Starlette(routes=health_routes(runtime.readings))
            server = Server(uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False))
            task = asyncio.create_task(server.serve(sockets=[listener]), name="health server")
            try:
                yield
            finally:
                server.should_exit = True
                await task

        yield tell


@asynccontextmanager
async def building(
    settings: Settings, site: Site, announce: Callable[[str], None], web: Path = WEB
) -> AsyncIterator[None]:
    """The page being built beside everything else, where it is missing or older than its sources, for as long as we are here."""
    if is_current(web):
        yield
        return

    async def build() -> None:
        try:
            await build_page(settings.data_dir / PAGE_LOG, announce, web)
        except PageNotBuilt as error:
            site.failed(str(error))
            announce(f"\n  {error}\n")
        else:
            site.built()
            announce("The page is built.")

    site.building()
    task = asyncio.create_task(build(), name="page build")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


@asynccontextmanager
async def working(runtime: Runtime) -> AsyncIterator[None]:
    """The job loop; what runs when it ends is finished or handed back."""
    worker = runtime.open_worker()
    async with worker.working():
        yield


def stop_on_signals() -> asyncio.Event:
    """Set by Ctrl-C and by SIGTERM. Whoever says it again does not want to wait: then the process ends as when it is killed."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def let_end() -> None:
        for number in STOPPING:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    def asked() -> None:
        if not stop.is_set():
            stop.set()
            loop.call_later(INSISTING_AFTER_S, let_end)

    for number in STOPPING:
        loop.add_signal_handler(number, asked)
    return stop
