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
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import msgspec

from tests.support.world import free_port

SOURCE = Path(__file__).parent / "load" / "wsload.c"
NS_PER_S = 1e9
OPENING_S = 120.0
ARRIVAL_S = 60.0


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


class Group(msgspec.Struct, frozen=True):
    """Messages that carry one `t0`, the moment they were caused (monotonic, in nanoseconds); when the last arrived."""

    t0: int
    count: int
    last: int

    @property
    def last_s(self) -> float:
        """How long the last one took, in seconds."""
        return (self.last - self.t0) / NS_PER_S


class Arrivals(msgspec.Struct, frozen=True):
    """What a crowd got: messages, their bytes, the percentiles of their latencies ("p50", "p99"), and those by `t0`."""

    count: int
    payload: int
    latency_ms: dict[str, float]
    groups: list[Group]


class Crowd:
    """Open sockets that count what they get."""

    def __init__(self, process: Process, size: int, opened_in: float) -> None:
        self._process, self.size, self.opened_in = process, size, opened_in

    def __repr__(self) -> str:
        return f"<Crowd of {self.size}, opened in {self.opened_in:.1f} s>"

    async def line(self, deadline_s: float) -> list[str]:
        """The next thing the load client says, in words."""
        if self._process.stdout is None:
            raise RuntimeError("the load client has no output")
        async with asyncio.timeout(deadline_s):
            words = (await self._process.stdout.readline()).decode().split()
        if not words:
            raise RuntimeError("the load client has ended")
        return words

    async def last(self) -> None:
        """Return once the last of all has its next message."""
        words = await self.line(ARRIVAL_S)
        while words[0] != "DONE":
            words = await self.line(ARRIVAL_S)

    async def report(self) -> Arrivals:
        """What has arrived since the last report."""
        self._tell(b"report\n")
        words = await self.line(ARRIVAL_S)
        while not words[0].startswith("{"):
            words = await self.line(ARRIVAL_S)
        found = json.loads(" ".join(words))
        groups = [Group(t0, count, last) for t0, count, _first, _median, last in found["groups"]]
        return Arrivals(found["n"], found["payload"], found["lat_ms"], groups)

    async def reopen(self) -> float:
        """Reset every connection and open all again; seconds until the last of them is ready."""
        self._tell(b"reopen\n")
        words = await self.line(OPENING_S)
        while words[0] != "READY":
            words = await self.line(OPENING_S)
        return float(words[2])

    def _tell(self, order: bytes) -> None:
        if self._process.stdin is None:
            raise RuntimeError("the load client has no input")
        self._process.stdin.write(order)


@asynccontextmanager
async def crowd(
    port: int,
    size: int,
    *,
    path: str = "/api/sync",
    openings: Sequence[str] = (),
    ready: int = 1,
    burst: int = 200,
    mark: str | None = None,
) -> AsyncIterator[Crowd]:
    """Sockets that have sent `openings` and got `ready` frames; `%d` in an opening is the socket's number.

    The digits after `mark` in a message stand in for its `t0`: which write it shows, where that cannot say when it was made.
    """
    arguments = ["client", "--port", str(port), "--path", path, "--n", str(size), "--ready", str(ready)]
    arguments += ["--burst", str(burst), *(["--mark", mark] if mark else [])]
    for opening in openings:
        arguments += ["--init", opening]
    process = await asyncio.create_subprocess_exec(wsload(), *arguments, stdin=PIPE, stdout=PIPE, limit=1 << 26)
    try:
        if process.stdout is None:
            raise RuntimeError("the load client has no output")
        async with asyncio.timeout(OPENING_S):
            words = (await process.stdout.readline()).split()
        if not words or words[0] != b"READY":
            raise RuntimeError(f"the load client says {words}")
        yield Crowd(process, size, float(words[2]))
    finally:
        process.kill()
        await process.wait()


class BareBroadcast:
    """Where it listens, and how it is told to send."""

    def __init__(self, port: int, process: Process) -> None:
        self.port, self._process = port, process

    def __repr__(self) -> str:
        return f"<BareBroadcast on {self.port}>"

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    async def send(self, size: int) -> None:
        """A message of so many bytes to everybody."""
        if self._process.stdin is None:
            raise RuntimeError("the bare server has no input")
        self._process.stdin.write(b"bcast %d\n" % size)
        await self._process.stdin.drain()


@asynccontextmanager
async def bare_broadcast() -> AsyncIterator[BareBroadcast]:
    """The floor of a fan-out: a C server that writes one finished frame to every socket."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(wsload(), "server", "--port", str(port), stdin=PIPE, stdout=PIPE)
    try:
        if process.stdout is None or not await process.stdout.readline():
            raise RuntimeError("the bare server did not start")
        yield BareBroadcast(port, process)
    finally:
        process.kill()
        await process.wait()
