"""What the torture kills: server processes and a mongod, each started again whenever it has ended, until it may rest.

Invariant: of each target at most one process lives; a mongod comes back on its port with its files.
"""

from __future__ import annotations

import asyncio
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from server.store.embedded_child import HOST, REPLICA_SET, Child, become_primary, locate_mongod
from tests.support.processes import DEADLINE_S, Running, running

RESTART_PAUSE_S = 0.1
TOLD_LINES = 12
AWAY = "error: The database at MONGODB_URI does not answer"
"""How a process may end by itself: started while mongod was dead. Whoever supervises it starts it again."""


class Target(ABC):
    """One place in the deployment; `kills` counts what was done to it."""

    def __init__(self, name: str) -> None:
        self.name, self.kills, self.starts = name, 0, 0
        self._resting = False

    def __repr__(self) -> str:
        return f"<{self.name}, {self.starts} starts, {self.kills} kills>"

    async def keep(self) -> None:
        """Start it, and again after each end, until `rest`."""
        while not self._resting:
            self.starts += 1
            await self._live()
            await asyncio.sleep(0 if self._resting else self._pause_s())

    def _pause_s(self) -> float:
        """How long it takes until somebody starts it again."""
        return RESTART_PAUSE_S

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """Its process, while it lives."""

    @abstractmethod
    async def _live(self) -> None:
        """One life, from start to end."""

    @abstractmethod
    def kill(self) -> bool:
        """End it without a word; false where there is nothing to end."""


class Server(Target):
    """A `python -m server ...`; `ends` says how it ended where nobody had killed it."""

    def __init__(self, name: str, command: str, awake: str, **variables: str) -> None:
        super().__init__(name)
        self._command, self._awake, self._variables = command, awake, variables
        self._process: Running | None = None
        self._born, self._doomed = asyncio.Event(), False
        self.lines: list[str] = []
        self.ends: list[str] = []
        self.refused = 0

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def awake(self) -> None:
        """Wait until it is at work."""
        await self._born.wait()
        assert self._process is not None
        await self._process.says(self._awake)

    async def rest(self) -> None:
        """Ask it to end, and see to it that it does so tidily."""
        self._resting = True
        if self._process is not None:
            self._process.send(signal.SIGTERM)
            await self._process.ended()

    def kill(self) -> bool:
        if self._process is None or self._doomed:
            return False
        self._doomed = True
        self.kills += 1
        self._process.send(signal.SIGKILL)
        return True

    async def _live(self) -> None:
        async with running(self._command, **self._variables) as process:
            self._process, self._doomed = process, False
            self._born.set()
            status = await process.ended(None)
            self._process = None
        self.lines += process.lines
        if status == 2 and AWAY in process.said:
            self.refused += 1
        elif not self._doomed and not (self._resting and status == 0):
            self.ends.append("\n    ".join((f"status {status}", *process.lines[-TOLD_LINES:])))


class Mongod(Target):
    """A replica set of one. `pause_s` says how long it stays away each time."""

    def __init__(self, folder: Path, port: int, pause_s: Callable[[], float]) -> None:
        super().__init__("mongod")
        self._folder, self._port, self._absence_s = folder, port, pause_s
        self._child: Child | None = None
        self.ready = asyncio.Event()
        (folder / "mongod").mkdir(parents=True)

    @property
    def uri(self) -> str:
        """Where it is, alive or not."""
        return f"mongodb://{HOST}:{self._port}/torture?replicaSet={REPLICA_SET}&w=majority"

    @property
    def pid(self) -> int | None:
        return None if self._child is None or self._child.exited.done() else self._child.pid

    def kill(self) -> bool:
        if self._child is None or self._child.exited.done():
            return False
        self.kills += 1
        self.ready.clear()
        self._child.send(signal.SIGKILL)
        return True

    def _pause_s(self) -> float:
        return self._absence_s()

    async def rest(self) -> None:
        """End it cleanly."""
        self._resting = True
        if self._child is not None and not self._child.exited.done():
            self._child.send(signal.SIGTERM)
            await asyncio.wait((self._child.exited,), timeout=DEADLINE_S)

    async def _live(self) -> None:
        child = Child(locate_mongod(), self._folder / "mongod", self._port, self._folder / "mongod.log")
        self._child = child
        waking = asyncio.create_task(become_primary(self._port, child.pid))
        try:
            await asyncio.wait((waking, child.exited), return_when=asyncio.FIRST_COMPLETED)
            if waking.done():
                waking.result()
                self.ready.set()
            await asyncio.shield(child.exited)
        finally:
            self.ready.clear()
            waking.cancel()
            await asyncio.wait((waking,))
            if not child.exited.done():
                child.send(signal.SIGKILL)
                await asyncio.wait((child.exited,), timeout=DEADLINE_S)


def left_behind(data_dir: Path) -> list[str]:
    """The processes of a deployment that still live, found by what they were started with."""
    mark, found = f"DATA_DIR={data_dir}".encode(), []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environ.read_bytes().split(b"\0"):
                found.append((environ.parent / "cmdline").read_text().replace("\0", " ").strip())
        except OSError:
            continue
    return found
