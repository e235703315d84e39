"""Waits that can be ended early, all at once and for good.

Cancelling a task in the middle of a request costs a connection and leaves its outcome unknown. Ending its waits stops it
at the next one instead: what is under way is finished.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Waits:
    """The waits of one or more tasks, until `end`."""

    __slots__ = ("_scopes", "ended")

    def __init__(self) -> None:
        self.ended = False
        self._scopes: set[asyncio.Timeout] = set()

    def __repr__(self) -> str:
        return f"<Waits {'ended' if self.ended else 'going on'}, {len(self._scopes)} waiting>"

    def end(self) -> None:
        """Let every wait return now, and every later one at once."""
        self.ended = True
        now = asyncio.get_running_loop().time()
        for scope in self._scopes:
            scope.reschedule(now)
        self._scopes.clear()

    async def wait(self, until: Callable[[], Awaitable[object]]) -> None:
        """Wait for `until`, but no longer than until these waits are ended."""
        if self.ended:
            return
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._scopes.add(scope)
                await until()
        except TimeoutError:
            if not scope.expired():
                raise
        finally:
            self._scopes.discard(scope)
