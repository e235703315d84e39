"""The outbox: one socket's frames on their way out, in order, with a bound on what a slow client can pile up.

Invariant: a frame is written as soon as the line takes it, and never before an earlier one; while one waits, `open` is false
and no transition is planned, so a slow client gets fewer and newer ones (sync-protocol 4.1). A line that takes nothing for
`STUCK_S`, or has `MAX_WAITING_BYTES` of answers waiting and is to take another, is cut.
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
MAX_WAITING_BYTES = 32 << 20
"""Answers to mutations and actions wait too, and who never reads could ask for them without end."""

PING = Push(protocol.encode(protocol.Ping()))

log = logging.getLogger("anime.socket")


class Outbox:
    """Frames waiting for one line. `opened` is told when another transition may be put in, `filled` when no frame is taken."""

    __slots__ = ("_bytes", "_empty", "_line", "_opened", "_spoke", "_spoken_at", "_stuck", "_stuck_s", "_waiting")

    def __init__(
        self, line: Line, opened: Callable[[], None], filled: Callable[[], None], stuck_s: float = STUCK_S
    ) -> None:
        self._line, self._stuck_s = line, stuck_s
        self._opened: Callable[[], None] | None = opened
        self._waiting: deque[Push] = deque()
        self._bytes = 0
        self._stuck: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None
        self._spoke, self._spoken_at = False, asyncio.get_running_loop().time()
        line.notify(self._drained, filled)

    def __repr__(self) -> str:
        return f"<Outbox {len(self._waiting)} frames{', stuck' if self._stuck else ''}>"

    @property
    def waiting_bytes(self) -> int:
        """How much waits."""
        return self._bytes

    @property
    def open(self) -> bool:
        """May another transition be put in?"""
        return not self._waiting and self._line.writable

    def put(self, push: Push) -> None:
        """Write a frame, or keep it until the line takes it."""
        self._spoke = True
        if self._waiting or not self._line.write(push):
            self._keep(push)

    def ping(self, now: float) -> None:
        """Give a sign of life if there has been none for a while; to be called often. `now` is the loop's time."""
        if self._opened is None:
            return
        if not self.open:
            self._watch()
        elif self._spoke:
            self._spoke, self._spoken_at = False, now
        elif now - self._spoken_at >= PING_S:
            self.put(PING)

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
        """Nothing leaves any more, and nobody is told of anything."""
        self._opened = None
        self._waiting.clear()
        self._emptied()
        self._calm()

    def _keep(self, push: Push) -> None:
        if self._opened is None:
            return
        if self._bytes >= MAX_WAITING_BYTES:
            self._cut()
            return
        self._waiting.append(push)
        self._bytes += len(push.text)
        self._watch()

    def _drained(self) -> None:
        self._calm()
        while self._waiting and self._line.write(self._waiting[0]):
            self._bytes -= len(self._waiting.popleft().text)
        if not self._waiting:
            self._emptied()
        if self._opened is None:
            return
        if self.open:
            self._opened()
        else:
            self._watch()

    def _emptied(self) -> None:
        if self._empty is not None:
            self._empty.set()

    def _watch(self) -> None:
        if self._stuck is None:
            self._stuck = asyncio.get_running_loop().call_later(self._stuck_s, self._cut)

    def _calm(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _cut(self) -> None:
        log.info("a client has stopped reading and is cut off", extra={"action": "socket.stuck"})
        self.close()
        self._line.abort()
