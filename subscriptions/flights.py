"""Flights: executions under way, one for all who ask the same, and a bounded number at a time.

Invariant: a question has one flight for each moment; who asks for a later one first waits for an earlier one that is under way,
because most likely its answer still holds. So a crowd that comes back while the position moves has one execution of each
question, not one for each position.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from schema.values import Timestamp
from subscriptions.answers import Answer, Facets, Question

EARLIER_S = 1.0
"""How long an execution for an earlier moment may take before one for a later moment begins beside it."""
MAX_EXECUTIONS = 64
"""Queries running at a time; the rest waits its turn, or a storm of reconnects would time them all out together."""

Asked = tuple[Question, Facets]
Flight = asyncio.Task[Answer]


class Flights:
    """Those who wait for a slot, and those who have one."""

    __slots__ = ("_aloft", "_flights", "_slots")

    def __init__(self) -> None:
        self._flights: dict[Asked, dict[Timestamp, Flight]] = {}
        self._aloft: set[asyncio.Task[Any] | None] = set()
        self._slots = asyncio.Semaphore(MAX_EXECUTIONS)

    def __len__(self) -> int:
        return sum(map(len, self._flights.values()))

    def __repr__(self) -> str:
        return f"<Flights {len(self)}, {len(self._aloft)} aloft>"

    def earlier(self, asked: Asked, ts: Timestamp) -> Flight | None:
        """The latest flight for an earlier moment, where there is none for this one."""
        flights = self._flights.get(asked, {})
        before = max((each for each in flights if each < ts), default=None)
        return None if before is None or ts in flights else flights[before]

    async def landing(self, flight: Flight) -> None:
        """Wait for a flight, as long as that is worth it: until it has its slot, behind which a new one would wait as well, and
        then for a while."""
        while not flight.done() and flight not in self._aloft:
            await asyncio.wait((flight,), timeout=EARLIER_S)
        await asyncio.wait((flight,), timeout=EARLIER_S)

    def board(self, asked: Asked, ts: Timestamp, run: Callable[[], Coroutine[Any, Any, Answer]]) -> Flight:
        """The flight for this moment, which takes off now if it has not yet."""
        flight = self._flights.get(asked, {}).get(ts)
        if flight is None:
            flight = asyncio.create_task(run(), name=f"evaluate {asked[0].path}")
            self._flights.setdefault(asked, {})[ts] = flight
            flight.add_done_callback(lambda done: self._landed(asked, ts, done))
        return flight

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot, and be aloft in it. For flights alone."""
        flight = asyncio.current_task()
        async with self._slots:
            self._aloft.add(flight)
            yield

    async def close(self) -> None:
        """Stop what runs."""
        flights = [each for flights in self._flights.values() for each in flights.values()]
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _landed(self, asked: Asked, ts: Timestamp, flight: Flight) -> None:
        self._aloft.discard(flight)
        flights = self._flights[asked]
        del flights[ts]
        if not flights:
            del self._flights[asked]
        if not flight.cancelled():
            flight.exception()  # whoever still waits for it gets it; when nobody does, it is of no interest
