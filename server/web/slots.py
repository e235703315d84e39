"""Room for uploads: how many are under way at once, in all and for one person, so that no slow line keeps others out.

Invariant: a slot is given back however the upload ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from server.web.refusals import Refused, busy

MAX_UPLOADS = 24
MAX_UPLOADS_EACH = 8
MAX_WAITING = 64
WAIT_S = 15.0


class Slots:
    """Hands out slots first come first served; those beyond the limits wait a little, their bodies unread."""

    __slots__ = ("_all", "_each", "_owners", "_wait_s", "_waiting")

    def __init__(self, total: int = MAX_UPLOADS, each: int = MAX_UPLOADS_EACH, wait_s: float = WAIT_S) -> None:
        self._all = asyncio.Semaphore(total)
        self._each, self._wait_s = each, wait_s
        self._owners: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._waiting = 0

    def __repr__(self) -> str:
        return f"<Slots for {len(self._owners)} owners, {self._waiting} waiting>"

    @asynccontextmanager
    async def one(self, owner: str) -> AsyncIterator[None]:
        """Hold a slot. Raises `Refused` when none becomes free in time."""
        async with AsyncExitStack() as held:
            await self._enter(owner, held)
            yield

    async def _enter(self, owner: str, held: AsyncExitStack) -> None:
        if self._waiting >= MAX_WAITING:
            raise _no_room()
        self._waiting += 1
        own = self._owners.setdefault(owner, asyncio.Semaphore(self._each))
        try:
            async with asyncio.timeout(self._wait_s):
                await held.enter_async_context(own)
                await held.enter_async_context(self._all)
        except TimeoutError:
            raise _no_room() from None
        finally:
            self._waiting -= 1


def _no_room() -> Refused:
    return busy("Many photos are being uploaded right now. Please try again in a moment.")
