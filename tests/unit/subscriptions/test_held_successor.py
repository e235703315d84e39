"""The successor of a crowded answer is kept while many are on their way to it, whatever else is asked meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from msgspec import Raw

from schema.keys import KeyRange, key_of
from schema.readset import Commit, ReadSet, Touch, WriteSet
from schema.values import Timestamp
from subscriptions.answers import MAX_IDLE_ANSWERS, Question, Watching
from subscriptions.effects import Value
from subscriptions.fan_out import SLICE
from subscriptions.hub import Evaluated, Hub
from subscriptions.leap import Leap, Screen
from subscriptions.log import Log

WALL = KeyRange("images", "by_featured", key_of(True))
ELSEWHERE = KeyRange("users", "by_user", key_of("somebody"))
CROWDED = Question("images:wall", b"{}", None)
SEATS = 200 * SLICE
"""So many that everything else is asked while the fan-out is still among them."""


class Room:
    """Where nobody can leap until the gate is open; who is told of anything is counted."""

    def __init__(self) -> None:
        self.is_open = False
        self.told: Counter[int] = Counter()
        self.leapt: set[int] = set()


class Seat(Screen):
    """Somebody who shows the wall."""

    def __init__(self, room: Room, number: int) -> None:
        self._room, self._number = room, number

    def invalidated(self, query_id: int) -> None:
        self._room.told[self._number] += 1

    def leap(self, watching: Watching, leap: Leap) -> bool:
        if self._room.is_open:
            leap.new.watchers[watching] = None
            self._room.told[self._number] += 1
            self._room.leapt.add(self._number)
        return self._room.is_open


async def until(holds: Callable[[], bool]) -> None:
    """Let everybody have their turns until it is so."""
    while not holds():  # noqa: ASYNC110  # turns are what passes
        await asyncio.sleep(0)


def featured(ts: int) -> Commit:
    return Commit(Timestamp(ts), WriteSet(frozenset({Touch("images", "by_featured", key_of(True, float(ts)))})))


async def test_a_successor_is_not_let_go_of_before_the_last_has_come() -> None:
    async def evaluate(asked: Question, caller: None, ts: Timestamp) -> Evaluated:
        reads = ReadSet((WALL,) if asked.path == CROWDED.path else (ELSEWHERE,))
        return Evaluated(Value(Raw(b"%d" % ts), b"%d" % ts), reads)

    hub: Hub[None] = Hub(Log(Timestamp(100)), evaluate, facet=lambda _, __: None, nudge=lambda: None, clock=lambda: 0.0)
    shown, room = await hub.answer(CROWDED, None, hub.position), Room()
    for number in range(SEATS):
        hub.watch(shown, Seat(room, number), 0)

    async with asyncio.timeout(20):
        hub.deliver([featured(101)], Timestamp(101))
        await until(lambda: len(room.told) > 0)
        questions = (Question("users:somebody", b"%d" % number, None) for number in range(MAX_IDLE_ANSWERS + 100))
        await asyncio.gather(*(hub.answer(each, None, hub.position) for each in questions))
        assert len(room.told) < SEATS, "the fan-out was over before everything else was asked"
        room.is_open = True
        await until(lambda: len(room.told) == SEATS)
        late = room.leapt.copy()
        assert late

        hub.deliver([featured(102)], Timestamp(102))
        await until(lambda: all(room.told[number] == 2 for number in late))
    await hub.close()
