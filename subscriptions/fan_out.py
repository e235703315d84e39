"""Fan-out: many who show one answer are brought to the next, in slices, with everybody else served in between.

Invariant: the successor is evaluated once and encoded once; whoever cannot simply leap is woken and finds its own way; when a
newer commit overtakes the successor, those who are left go to what is newest then. A cohort finishes its leap first: its members
then go on together.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Sequence

from schema.values import Millis
from subscriptions.answers import Answer, Watching
from subscriptions.cohort import Cohort
from subscriptions.cohorts import Cohorts, Crowd
from subscriptions.leap import Leap, Screen

FEW_WATCHERS = 8
"""Below so many a fan-out is not worth its while: each is woken and finds the shared answer."""
SLICE, YIELDS = 32, 12
"""Frames between two pauses, and at most so many turns of the loop in each: a small push takes some twenty turns from its commit
to its line, and waits for a slice only where it waits for the database."""
IDLE_TURN: Millis = 0.02
"""A turn that was over sooner was nobody's: a pause is as long as somebody makes use of it."""

log = logging.getLogger("anime.hub")


class FanOuts:
    """The fan-outs under way. `successor` finds what follows an answer and holds it, or None when there is not one for all;
    `arrived` is told when nobody is left who might take it, `pushed` since when a slice had waited and how many it was;
    `clock` is the time in milliseconds."""

    __slots__ = ("_arrived", "_clock", "_cohorts", "_pushed", "_successor", "_tasks", "slice")

    def __init__(
        self,
        successor: Callable[[Answer], Awaitable[Leap | None]],
        arrived: Callable[[Leap], None],
        cohorts: Cohorts,
        clock: Callable[[], Millis],
        pushed: Callable[[Millis, int], None],
    ) -> None:
        self._successor, self._arrived, self._cohorts = successor, arrived, cohorts
        self._clock, self._pushed = clock, pushed
        self._tasks: set[asyncio.Task[None]] = set()
        self.slice = SLICE

    def __repr__(self) -> str:
        return f"<FanOuts {len(self._tasks)} under way>"

    def tell(self, old: Answer, watchers: Collection[Watching], crowds: Collection[Crowd] = ()) -> None:
        """Let these know that `old` is no longer current."""
        for cohort, query_id in crowds:  # first, so that whoever leaps alone finds them on their way
            if len(cohort) < FEW_WATCHERS:
                cohort.invalidated(query_id)
            else:
                self._start(self._lead(old, cohort, query_id), old)
        if len(watchers) < FEW_WATCHERS:
            _wake(watchers)
        else:
            self._start(self._run(old, list(watchers)), old)

    async def close(self) -> None:
        """Stop where they are."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, old: Answer, watchers: list[Watching]) -> None:
        left = deque(_slices(watchers, self.slice))
        try:
            while left:
                leap = await self._successor(old)
                try:
                    while left and (leap is None or leap.new.is_current):
                        behind = left[0] if leap is None else [each for each in left[0] if not _leap(each, leap)]
                        if leap is not None and not leap.is_silent:
                            self._pushed(old.stale_since, len(left[0]) - len(behind))
                        _wake(behind)
                        left.popleft()
                        await self._pause()
                finally:
                    if leap is not None:
                        self._arrived(leap)
        except Exception:
            for each in left:  # they find their own way; to be told twice does no harm, not to be told does
                _wake(each)
            raise

    async def _lead(self, old: Answer, cohort: Cohort, query_id: int) -> None:
        async with cohort.turn:
            try:
                leap = await self._successor(old)
                try:
                    await self._lead_by(leap, cohort, query_id)
                finally:
                    if leap is not None:
                        self._arrived(leap)
            except Exception:
                cohort.invalidated(query_id)
                raise

    async def _lead_by(self, leap: Leap | None, cohort: Cohort, query_id: int) -> None:
        if not cohort:
            return
        if leap is None or not cohort.lead(query_id, leap, asyncio.get_running_loop().time()):
            while cohort.shed(self.slice):
                await self._pause()
            return
        self._cohorts.led(cohort)
        goes_on = True
        while goes_on:
            count = min(self.slice, cohort.behind)
            goes_on = cohort.carry(self.slice)
            self._pushed(leap.old.stale_since, count)
            if goes_on:
                await self._pause()
        while cohort and (twin := self._cohorts.twin(cohort)) is not None and cohort.move(twin, self.slice):
            await self._pause()
        if cohort and leap.new.is_current:
            self._cohorts.show(cohort, query_id, leap.new)
        elif cohort:
            self.tell(leap.new, (), ((cohort, query_id),))

    async def _pause(self) -> None:
        """Let everybody else go first, until a turn passes in which nobody does."""
        now = self._clock()
        for _ in range(YIELDS):
            await asyncio.sleep(0)
            before, now = now, self._clock()
            if now - before < IDLE_TURN:
                return

    def _start(self, work: Coroutine[None, None, None], old: Answer) -> None:
        task = asyncio.create_task(work, name=f"fan out {old.question.path}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a fan-out broke", exc_info=task.exception(), extra={"action": "hub.broken"})


def _slices(watchers: Sequence[Watching], size: int) -> Iterator[Sequence[Watching]]:
    return (watchers[start : start + size] for start in range(0, len(watchers), size))


def _leap(watching: Watching, leap: Leap) -> bool:
    watcher = watching[0]
    return isinstance(watcher, Screen) and watcher.leap(watching, leap)


def _wake(watchers: Iterable[Watching]) -> None:
    for watcher, query_id in watchers:
        watcher.invalidated(query_id)
