"""Turns: who has something to do gets one, first come first served, a slice at a time with the network served in between.

Invariant: however many wake at once, nobody else waits for more than a slice of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

SLICE = 32


class Turns:
    """Those who wait for their turn."""

    __slots__ = ("_line", "_running")

    def __init__(self) -> None:
        self._line: deque[Callable[[], None]] = deque()
        self._running = False

    def __len__(self) -> int:
        return len(self._line)

    def __repr__(self) -> str:
        return f"<Turns {len(self._line)} waiting>"

    def take(self, turn: Callable[[], None]) -> None:
        """Call `turn` soon. It must not raise."""
        self._line.append(turn)
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._serve)

    def _serve(self) -> None:
        line = self._line
        try:
            for _ in range(min(SLICE, len(line))):
                line.popleft()()
        finally:  # whatever one of them did, the others get theirs
            self._running = bool(line)
            if line:
                asyncio.get_running_loop().call_soon(self._serve)
