"""Growing pauses between tries at something that may work later, and what is worth another try."""

from __future__ import annotations

import asyncio
from typing import Final

from jobs.seams import Chance
from schema.errors import SnapshotGone, StoreUnavailable, WriteConflict

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 3.0

NOT_NOW: Final = (SnapshotGone, StoreUnavailable, WriteConflict)
"""Nothing is wrong with what was asked; the database was away or busy."""


class Patience:
    """Pauses that double up to a limit; half of each is chance."""

    __slots__ = ("_next_s", "_random")

    def __init__(self, random: Chance) -> None:
        self._random, self._next_s = random, FIRST_PAUSE_S

    def __repr__(self) -> str:
        return f"<Patience for {self._next_s} s>"

    def reset(self) -> None:
        """It worked: the next pause is short again."""
        self._next_s = FIRST_PAUSE_S

    async def pause(self) -> None:
        """Wait before the next try, longer than the last time."""
        pause, self._next_s = self._next_s, min(LONGEST_PAUSE_S, 2 * self._next_s)
        await asyncio.sleep(pause * (1 + self._random()) / 2)
