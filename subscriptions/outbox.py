"""The outbox: one socket's frames on their way out, in order, with a bound on what a slow client can pile up.

Invariant: at most `WINDOW` transitions wait unsent, because the updater waits for the window; a client that takes nothing for
`STUCK_S` is given up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from subscriptions import protocol

WINDOW = 2
"""Unsent transitions; a slow client gets fewer and newer ones (sync-protocol 4.1)."""
PING_S = 15.0
"""Clients take a line for dead after 30 to 60 silent seconds (sync-protocol 5)."""
STUCK_S = 30.0

PING = protocol.encode(protocol.Ping())


class Stuck(Exception):
    """The client has stopped reading."""


class Outbox:
    """Frames waiting for one socket."""

    __slots__ = ("_empty", "_filled", "_frames", "_send", "_transitions", "_window")

    def __init__(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._send = send
        self._frames: deque[tuple[bytes, bool]] = deque()
        self._transitions = 0
        self._filled, self._window, self._empty = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._window.set()
        self._empty.set()

    def __repr__(self) -> str:
        return f"<Outbox {len(self._frames)} frames, {self._transitions} transitions>"

    def put(self, frame: bytes, transition: bool) -> None:
        """Add a frame at the end."""
        self._frames.append((frame, transition))
        self._transitions += transition
        if self._transitions >= WINDOW:
            self._window.clear()
        self._filled.set()
        self._empty.clear()

    async def open_window(self) -> None:
        """Return once another transition may be put in."""
        await self._window.wait()

    async def flush(self, deadline_s: float) -> None:
        """Wait until everything has left, but not for ever."""
        try:
            async with asyncio.timeout(deadline_s):
                await self._empty.wait()
        except TimeoutError:
            return

    async def run(self) -> None:
        """Write for ever; a ping when there was nothing to write for a while. Raises `Stuck`."""
        while True:
            try:
                async with asyncio.timeout(PING_S):
                    await self._filled.wait()
            except TimeoutError:
                await self._write(PING)
                continue
            while self._frames:
                frame, transition = self._frames[0]
                await self._write(frame)
                self._frames.popleft()
                self._transitions -= transition
                if self._transitions < WINDOW:
                    self._window.set()
            self._filled.clear()
            self._empty.set()

    async def _write(self, frame: bytes) -> None:
        try:
            async with asyncio.timeout(STUCK_S):
                await self._send(frame)
        except TimeoutError:
            raise Stuck from None
