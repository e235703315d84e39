"""Fan-out: many who show one answer are brought to the next, in slices, with everybody else served in between.

Invariant: the successor is evaluated once and encoded once; whoever cannot simply leap is woken and finds its own way; when a
newer commit overtakes the successor, those who are left go to what is newest then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from subscriptions.answers import Answer, Watching
from subscriptions.leap import Leap, Screen

FEW_WATCHERS = 8
"""Below so many a fan-out is not worth its while: each is woken and finds the shared answer."""
SLICE = 64
"""Frames between two yields: a small push beside a large fan-out waits for two or three slices (performance 5)."""

log = logging.getLogger("anime.hub")


class FanOuts:
    """The fan-outs under way. `successor` finds what follows an answer and holds it, or None when there is not one for all;
    `arrived` is told when everybody is there."""

    __slots__ = ("_arrived", "_successor", "_tasks")

    def __init__(
        self, successor: Callable[[Answer], Awaitable[Leap | None]], arrived: Callable[[Answer], None]
    ) -> None:
        self._successor, self._arrived = successor, arrived
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<FanOuts {len(self._tasks)} under way>"

    def tell(self, old: Answer, watchers: set[Watching]) -> None:
        """Let these know that `old` is no longer current."""
        if len(watchers) < FEW_WATCHERS:
            _wake(watchers)
            return
        task = asyncio.create_task(self._run(old, list(watchers)), name=f"fan out {old.question.path}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Stop where they are."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, old: Answer, watchers: list[Watching]) -> None:
        done = 0
        while done < len(watchers):
            leap = await self._successor(old)
            while done < len(watchers) and (leap is None or leap.new.is_current):
                piece = watchers[done : done + SLICE]
                done += SLICE
                _wake(piece if leap is None else [each for each in piece if not _leap(each, leap)])
                await asyncio.sleep(0)
            if leap is not None:
                self._arrived(leap.new)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a fan-out broke", exc_info=task.exception(), extra={"action": "hub.broken"})


def _leap(watching: Watching, leap: Leap) -> bool:
    watcher = watching[0]
    return isinstance(watcher, Screen) and watcher.leap(watching, leap)


def _wake(watchers: Iterable[Watching]) -> None:
    for watcher, query_id in watchers:
        watcher.invalidated(query_id)
