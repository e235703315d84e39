"""The embedded mongod of development and tests: a real single-node replica set that lives as long as we do.

Invariant: at most one mongod per data folder, never without a living process of ours above it, always at the
port its first start found, so that clients made once reconnect by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from .embedded_child import EXIT_PORT_TAKEN, HOST, PORTS, REPLICA_SET, Child, become_primary, free_ports, locate_mongod
from .embedded_errors import MongodExited, MongodKeepsDying, MongodNotReady, MongodNotStarted, NoFreePort, gist_of
from .embedded_folder import lock_folder, log_tail, port_said, predecessor_gone, say_port, trim_log

START_DEADLINE_S = 60.0
STOP_GRACE_S = 10.0
KILL_GRACE_S = 5.0
STEADY_S = 30.0
# One child of our own, no herd: these waits need no jitter. Their number is the number of restarts in a row.
RESTART_DELAYS_S = (0.1, 0.5, 1.5, 3.0)
LOG_CHECK_S = 15.0


class State(enum.Enum):
    """Where an EmbeddedMongod is in its life."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    FAILED = "failed"


class EmbeddedMongod:
    """One mongod on one data folder; owns its process, its watch task and the lock of the folder."""

    __slots__ = (
        "_child", "_ended", "_failure", "_folder", "_locate", "_lock", "_log", "_log_start", "_port", "_ready_at",
        "_restarts", "_shown_folder", "_state", "_watch",
    )  # fmt: skip

    def __init__(
        self, data_dir: Path, *, log: logging.Logger | None = None, locate: Callable[[], Path] = locate_mongod
    ) -> None:
        self._shown_folder, self._folder = data_dir, data_dir.resolve()
        self._log = log or logging.getLogger(__name__)
        self._locate = locate
        self._state = State.STOPPED
        self._port: int | None = None
        self._lock: int | None = None
        self._child: Child | None = None
        self._watch: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None
        self._ready_at: float | None = None
        self._restarts = 0
        self._log_start = 0

    def __repr__(self) -> str:
        where = f"process {self.pid}, port {self._port}, restarts {self._restarts}, {self._shown_folder}"
        return f"<EmbeddedMongod {self._state.value}, {where}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """The port on 127.0.0.1, the same for the whole life of this object."""
        if self._port is None or self._state in (State.STOPPED, State.STARTING):
            raise MongodNotStarted
        return self._port

    @property
    def uri(self) -> str:
        """For clients. Not a direct connection: those would write to a node that is not primary yet after a restart."""
        return _uri(self.port)

    @property
    def pid(self) -> int | None:
        """The living mongod's process id; None while there is none."""
        return self._child.pid if self._child and not self._child.exited.done() else None

    @property
    def log_path(self) -> Path:
        """Where mongod writes its log; one older part is kept beside it."""
        return self._folder / "mongod.log"

    async def start(self) -> str:
        """Start mongod and return its URI once a majority write has succeeded."""
        if self._state is not State.STOPPED:
            raise RuntimeError(f"{self!r} was started before; stop it first")
        self._state, self._failure, self._restarts = State.STARTING, None, 0
        self._ended.clear()
        try:
            binary = self._locate()
            self._lock = lock_folder(self._folder, self._shown_folder)
            await predecessor_gone(self._folder / "mongod" / "mongod.lock", self._shown_folder)
            await self._start_on_some_port(binary)
            say_port(self._lock, self.port)
        except BaseException:
            await self._end_child()
            self._release()
            self._state = State.STOPPED
            raise
        self._watch = asyncio.create_task(self._keep_alive(binary), name="embedded mongod watch")
        self._watch.add_done_callback(self._watch_ended)
        return self.uri

    async def stop(self) -> None:
        """End mongod cleanly, by force after STOP_GRACE_S; harmless when it is not running."""
        watch, self._watch = self._watch, None
        try:
            if watch is not None:
                watch.cancel()
                await asyncio.wait((watch,))
            await self._end_child()
        finally:
            self._release()
            self._state = State.STOPPED
            self._ended.set()

    async def wait(self) -> None:
        """Return once stopped; raise if mongod kept dying and we gave up."""
        await self._ended.wait()
        if self._failure is not None:
            raise self._failure

    async def _start_on_some_port(self, binary: Path) -> None:
        for port in free_ports(self._folder, self._port):
            self._port = port
            try:
                return await self._launch(binary, port)
            except MongodExited as error:
                if error.code != EXIT_PORT_TAKEN:  # otherwise somebody was faster: the next one
                    raise
        raise NoFreePort(PORTS)

    async def _launch(self, binary: Path, port: int) -> None:
        """Fork a mongod on this port and wait until it is primary; no process is left behind on failure."""
        self._ready_at = None
        self._log_start = trim_log(self.log_path)
        child = self._child = Child(binary, self._folder / "mongod", port, self.log_path)
        ready = asyncio.create_task(become_primary(port, child.pid), name="embedded mongod readiness")
        try:
            await asyncio.wait((ready, child.exited), timeout=START_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            in_time = not ready.cancel()
            await asyncio.wait((ready,))
        if child.exited.done():
            raise self._death(child.exited.result())
        if not in_time:
            await self._end_child()
            raise MongodNotReady(START_DEADLINE_S, self.log_path)
        ready.result()
        self._ready_at = asyncio.get_running_loop().time()
        self._state = State.RUNNING

    async def _keep_alive(self, binary: Path) -> None:
        quick_deaths = 0
        while True:
            death = await self._await_death()
            quick_deaths = 1 if self._was_steady() else quick_deaths + 1
            if quick_deaths > len(RESTART_DELAYS_S):
                raise MongodKeepsDying(quick_deaths, death.gist, self.log_path)
            self._state = State.RESTARTING
            delay_s = RESTART_DELAYS_S[quick_deaths - 1]
            self._log.warning("%s It is started again in %.1f s.", death, delay_s)
            await asyncio.sleep(delay_s)
            with contextlib.suppress(MongodExited, MongodNotReady):  # dead again: the next turn counts and reports it
                await self._launch(binary, self.port)
                self._restarts += 1

    async def _await_death(self) -> MongodExited:
        """Wait for the end of the present mongod, keeping its log short meanwhile."""
        if self._child is None:
            raise MongodNotStarted
        exited = self._child.exited
        while not exited.done():
            await asyncio.wait((exited,), timeout=LOG_CHECK_S)
            with contextlib.suppress(OSError):  # a full disk: mongod will tell
                self._log_start = min(self._log_start, await asyncio.to_thread(trim_log, self.log_path))
        return self._death(exited.result())

    def _was_steady(self) -> bool:
        return self._ready_at is not None and asyncio.get_running_loop().time() - self._ready_at > STEADY_S

    def _death(self, code: int) -> MongodExited:
        return MongodExited(code, gist_of(log_tail(self.log_path, self._log_start)), self.log_path)

    def _watch_ended(self, watch: asyncio.Task[None]) -> None:
        if watch.cancelled():
            return
        self._failure, self._state = watch.exception(), State.FAILED
        self._log.critical("%s", self._failure)
        self._ended.set()

    async def _end_child(self) -> None:
        child = self._child
        if child is None or child.exited.done():
            return
        child.send(signal.SIGTERM)
        try:
            await asyncio.wait((child.exited,), timeout=STOP_GRACE_S)
        finally:  # also when we are cancelled while waiting: nothing may be left behind
            if not child.exited.done():
                self._log.warning("mongod (process %d) did not end by itself and is killed", child.pid)
                child.send(signal.SIGKILL)
                await asyncio.wait((child.exited,), timeout=KILL_GRACE_S)

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)  # the file stays: removing it would let two copies lock two files of one name
            self._lock = None


def running_uri(data_dir: Path) -> str | None:
    """The URI of the mongod that another living process runs on this data folder, for a short visit beside it."""
    port = port_said(data_dir.resolve())
    return None if port is None else _uri(port)


def _uri(port: int) -> str:
    return f"mongodb://{HOST}:{port}/?replicaSet={REPLICA_SET}&w=majority"
