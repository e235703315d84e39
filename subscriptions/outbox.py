"""The outbox: one socket's frames on their way out, in order, with a bound on what a slow client can pile up.

Invariant: a frame is written as soon as the line takes it, and never before an earlier one; while one waits, `open` is false
and no transition is planned, so a slow client gets fewer and newer ones (sync-protocol 4.1). A line that takes nothing for
`STUCK_S` is cut.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from subscriptions import protocol
from subscriptions.push import Push
from subscriptions.seams import Line

PING_S = 15.0
"""Clients take a line for dead after 30 to 60 silent seconds (sync-protocol 5)."""
STUCK_S = 30.0

PING = Push(protocol.encode(protocol.Ping()))

log = logging.getLogger("anime.socket")


class Outbox:
    """Frames waiting for one line."""

    __slots__ = ("_empty", "_line", "_opened", "_stuck", "_waiting", "written_at")

    def __init__(self, line: Line, opened: Callable[[], None]) -> None:
        self._line, self._opened = line, opened
        self._waiting: deque[Push] = deque()
        self._stuck: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None
        self.written_at = asyncio.get_running_loop().time()
        line.notify(self._drained)

    def __repr__(self) -> str:
        return f"<Outbox {len(self._waiting)} frames{', stuck' if self._stuck else ''}>"

    @property
    def open(self) -> bool:
        """May another transition be put in?"""
        return not self._waiting and self._line.writable

    def put(self, push: Push) -> None:
        """Write a frame, or keep it until the line takes it."""
        if self._waiting or not self._line.write(push):
            self._waiting.append(push)
            self._watch()

    def ping(self, now: float) -> None:
        """Give a sign of life if there has been none for a while. `now` is the loop's time."""
        if self.open and now - self.written_at >= PING_S:
            self.put(PING)
            self.written_at = now
        elif not self.open:
            self._watch()

    async def flush(self, deadline_s: float) -> None:
        """Wait until everything has left, but not for ever."""
        if not self._waiting:
            return
        self._empty = asyncio.Event()
        try:
            async with asyncio.timeout(deadline_s):
                await self._empty.wait()
        except TimeoutError:
            return

    def close(self) -> None:
        """Nothing leaves any more."""
        self._waiting.clear()
        self._calm()

    def _drained(self) -> None:
        while self._waiting and self._line.write(self._waiting[0]):
            self._waiting.popleft()
        if not self._waiting and self._empty is not None:
            self._empty.set()
        if self.open:
            self._calm()
            self._opened()

    def _watch(self) -> None:
        if self._stuck is None:
            self._stuck = asyncio.get_running_loop().call_later(STUCK_S, self._cut)

    def _calm(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _cut(self) -> None:
        log.info("a client has stopped reading and is cut off", extra={"action": "socket.stuck"})
        self._line.abort()
