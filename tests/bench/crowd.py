"""Thousands of sockets from a load client that is not the bottleneck, and the bare broadcast that fan-outs are held against.

Both are `load/wsload.c`, built with the system's compiler when first needed.
"""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import subprocess
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.world import free_port

SOURCE = Path(__file__).parent / "load" / "wsload.c"
NS_PER_MS = 1e6
OPENING_S = 120.0
ARRIVAL_S = 60.0

Message = dict[str, Any]


@cache
def wsload() -> Path:
    """The load client, compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("The fan-out benchmarks need a C compiler. Install gcc and run them again.")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    built = Path(tempfile.gettempdir()) / f"anime-wsload-{SOURCE.stat().st_mtime_ns}"
    subprocess.run([compiler, "-O2", "-w", "-o", built, SOURCE], check=True)
    return built


class Crowd:
    """Open sockets that count what they get."""

    def __init__(self, process: Process, size: int) -> None:
        self._process, self.size = process, size

    async def line(self, deadline_s: float) -> list[str]:
        """The next thing the load client says, in words."""
        if self._process.stdout is None:
            raise RuntimeError("the load client has no output")
        async with asyncio.timeout(deadline_s):
            words = (await self._process.stdout.readline()).decode().split()
        if not words:
            raise RuntimeError("the load client has ended")
        return words

    async def last(self) -> float:
        """When the last of all has the next frame, on the monotonic clock, in milliseconds."""
        words = await self.line(ARRIVAL_S)
        while words[0] != "DONE":
            words = await self.line(ARRIVAL_S)
        return int(words[3]) / NS_PER_MS

    async def report(self) -> Message:
        """What has arrived since the last report; arrivals are grouped by the `t0` that they carry."""
        if self._process.stdin is None:
            raise RuntimeError("the load client has no input")
        self._process.stdin.write(b"report\n")
        while True:
            words = await self.line(ARRIVAL_S)
            if words[0].startswith("{"):
                found: Message = json.loads(" ".join(words))
                return found


@asynccontextmanager
async def crowd(port: int, size: int, *, path: str, openings: list[str], ready: int) -> AsyncIterator[Crowd]:
    """Sockets that have sent `openings` and got `ready` frames; `%d` in an opening is the socket's number."""
    arguments = ["client", "--port", str(port), "--path", path, "--n", str(size), "--ready", str(ready)]
    for opening in openings:
        arguments += ["--init", opening]
    process = await asyncio.create_subprocess_exec(wsload(), *arguments, stdin=PIPE, stdout=PIPE, limit=1 << 26)
    try:
        opened = Crowd(process, size)
        words = await opened.line(OPENING_S)
        if words[0] != "READY":
            raise RuntimeError(f"the load client says {words}")
        yield opened
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def bare_broadcast() -> AsyncIterator[tuple[int, Process]]:
    """The floor: a C server that writes one finished frame to every socket. Its port, and where to tell it to."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(wsload(), "server", "--port", str(port), stdin=PIPE, stdout=PIPE)
    try:
        if process.stdout is None or not await process.stdout.readline():
            raise RuntimeError("the bare server did not start")
        yield port, process
    finally:
        process.kill()
        await process.wait()
