"""A loop whose time passes only while nothing else is to be done, and the ends of a socket that live in it.

Invariant: what runs here is the code under test and nothing of the machine's; a minute takes no time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from subscriptions.push import Push

T = TypeVar("T")

TICK_S = 0.000_001
"""Added to every wait, or a timer would be looked at for ever just before its time."""


class _NobodyThere(selectors.DefaultSelector):
    """A selector that does not wait but says how long it would have."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everybody waits and nobody comes")
        if timeout > 0:
            self.now += timeout + TICK_S
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a time of its own."""

    def __init__(self) -> None:
        self._there = _NobodyThere()
        super().__init__(self._there)

    def time(self) -> float:
        """Seconds since it was made."""
        return self._there.now

    def clock(self) -> float:
        """The same as the milliseconds of a wall clock."""
        return 1_000_000.0 + self._there.now * 1_000


def run(story: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a story to its end on a loop of its own."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(story())
    finally:
        loop.close()


async def turns(count: int) -> None:
    """Let everybody else go on so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


class MemoryLine:
    """The network between a worker and its client: keeps every frame, and is full when told to be."""

    def __init__(self, capacity: int | None = None) -> None:
        self.sent: list[bytes] = []
        self._capacity = capacity
        self.cuts: list[str] = []
        self.is_over = False
        self._drained: Callable[[], None] | None = None
        self._filled: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"<MemoryLine {len(self.sent)} frames, {self.capacity} more>"

    @property
    def capacity(self) -> int | None:
        """How many frames more it takes; None for all that come."""
        return self._capacity

    @capacity.setter
    def capacity(self, capacity: int | None) -> None:
        self._capacity = capacity
        if capacity == 0 and self._filled is not None:
            self._filled()

    @property
    def kind(self) -> str | None:
        return "memory"

    def row(self) -> MemoryRow:
        return MemoryRow()

    @property
    def writable(self) -> bool:
        return not self.is_over and self.capacity != 0

    def write(self, push: Push) -> bool:
        if not self.writable:
            return False
        self.sent.append(push.text)
        self.heard(push.text)
        if self.capacity is not None:
            self.capacity -= 1
        return True

    def finish(self, push: Push) -> None:
        """Take the rest of what was written to many."""
        assert self.write(push)

    @property
    def aborted(self) -> int:
        """How often it was cut."""
        return len(self.cuts)

    def heard(self, frame: bytes) -> None:
        """A frame has arrived at the client."""

    def notify(self, drained: Callable[[], None], filled: Callable[[], None]) -> None:
        self._drained, self._filled = drained, filled

    def drain(self, capacity: int | None = None) -> None:
        """The client has read everything and the line takes so many frames more."""
        self.capacity = capacity
        if self._drained is not None:
            self._drained()

    def over(self) -> None:
        """The connection is lost."""
        self.is_over, filled = True, self._filled
        self._drained = self._filled = None
        if filled is not None:
            filled()

    def abort(self) -> None:
        self.cuts.append("cut")


class MemoryRow:
    """Lines of memory in a row; every one of them must take frames, and is written to like any other."""

    def __init__(self) -> None:
        self.lines: list[MemoryLine] = []

    def append(self, line: MemoryLine) -> None:
        self.lines.append(line)

    def swap(self, one: int, other: int) -> None:
        self.lines[one], self.lines[other] = self.lines[other], self.lines[one]

    def pop(self) -> MemoryLine:
        return self.lines.pop()

    def write(self, push: Push, start: int, stop: int) -> list[Callable[[], None]]:
        """A line that has room for one more frame takes only a part of it, and the rest when it is asked to finish."""
        unfinished: list[Callable[[], None]] = []
        for line in self.lines[start:stop]:
            assert line.writable, f"{line} is in company and takes nothing"
            if line.capacity is None:
                line.write(push)
            else:
                unfinished.append(partial(line.finish, push))
        return unfinished
