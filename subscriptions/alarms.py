"""Alarms: who waits for the log to reach a moment is called when it has.

Invariant: nobody waits for ever: when the feed brings nothing for a while, it is asked for a pulse, again and again.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

from schema.values import Timestamp
from subscriptions.log import Log

PATIENCE_S = 0.02
"""How long a waiter trusts that the feed is only a moment behind before it asks for a pulse."""
NUDGE_AGAIN_S = 1.0


class Alarms:
    """Calls to be made at positions of the log. `nudge` asks the feed for a pulse; call `moved` when the log has moved."""

    __slots__ = ("_calls", "_line", "_log", "_nudge", "_patience", "_serial")

    def __init__(self, log: Log, nudge: Callable[[], None]) -> None:
        self._log, self._nudge = log, nudge
        self._line: list[tuple[Timestamp, int]] = []
        self._calls: dict[int, Callable[[], None]] = {}
        self._patience: asyncio.TimerHandle | None = None
        self._serial = count()

    def __len__(self) -> int:
        return len(self._calls)

    def __repr__(self) -> str:
        return f"<Alarms: {len(self)} set>"

    def call_at(self, ts: Timestamp, call: Callable[[], None]) -> int:
        """Call once the log's position is `ts` or later; returns what `call_off` wants."""
        alarm = next(self._serial)
        if self._log.position >= ts:
            call()
            return alarm
        self._calls[alarm] = call
        heapq.heappush(self._line, (ts, alarm))
        self._lose_patience_in(PATIENCE_S)
        return alarm

    def call_off(self, alarm: int) -> None:
        """Do not call, if that has not happened."""
        self._calls.pop(alarm, None)

    async def reached(self, ts: Timestamp) -> None:
        """Return once the log's position is `ts` or later."""
        there = asyncio.Event()
        self.call_at(ts, there.set)
        await there.wait()

    def moved(self) -> None:
        """The log has moved: make the calls that are due."""
        while self._line and self._line[0][0] <= self._log.position:
            _, alarm = heapq.heappop(self._line)
            if alarm in self._calls:
                self._calls.pop(alarm)()

    def close(self) -> None:
        """Nobody is asked for anything any more."""
        if self._patience is not None:
            self._patience.cancel()

    def _lose_patience_in(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        if self._patience is not None:
            if self._patience.when() <= loop.time() + seconds:
                return
            self._patience.cancel()
        self._patience = loop.call_later(seconds, self._impatient)

    def _impatient(self) -> None:
        self._patience = None
        if self._calls:
            self._nudge()
            self._lose_patience_in(NUDGE_AGAIN_S)
