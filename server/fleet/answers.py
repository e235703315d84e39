"""Shared answers: what one process has found, the others take over, where their own log says that it holds for them too.

Invariant: whatever Redis does, a question is answered, rightly, and later than without it by a bounded time only: one command's
patience, and one wait for whoever is running it, whose length follows what running costs.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import msgspec

from schema.errors import SnapshotGone, StoreUnavailable
from schema.values import Millis, Timestamp, seconds
from server.fleet.line import CLAIM, Away, Line
from server.fleet.offers import Known, Offer, decode, encode, holds, offer_of, stale_since
from server.fleet.seal import Seal
from subscriptions.answers import Question
from subscriptions.hub import Evaluate, Evaluated
from subscriptions.log import Log

C = TypeVar("C")

MAX_KNOWN, MAX_ARGUMENT_BYTES = 512, 4_096
"""Questions whose last answer is remembered: those asked the longest ago are forgotten, and not shared when asked again."""
LEAST_WAIT_S, MOST_WAIT_S = 0.05, 1.0
"""For whoever is running it: twice what running took last time, within these."""
REST: Millis = seconds(1)
"""How long a question is not shared after somebody was waited for in vain."""

Waiting = asyncio.Future[bytes]


class SharedAnswers(Generic[C]):
    """Evaluates for the hub. A question that was answered here before is run by one process of the fleet when it is stale."""

    def __init__(
        self,
        evaluate: Evaluate[C],
        log: Log,
        line: Line,
        seal: Seal,
        *,
        reached: Callable[[Timestamp], Awaitable[None]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        clock: Callable[[], Millis],
    ) -> None:
        self._evaluate, self._log, self._line, self._seal = evaluate, log, line, seal
        self._reached, self._spawn, self._clock = reached, spawn, clock
        self._known: OrderedDict[Question, Known] = OrderedDict()
        self._resting: dict[Question, Millis] = {}
        self._waiting: defaultdict[bytes, set[Waiting]] = defaultdict(set)
        self.adopted = self.offered = self.in_vain = 0

    def __repr__(self) -> str:
        counts = f"{len(self._known)} known, {self.adopted} adopted, {self.offered} offered"
        return f"<SharedAnswers {counts}, {len(self._waiting)} waited for>"

    async def evaluate(self, question: Question, caller: C, ts: Timestamp) -> Evaluated:
        """The answer at `ts`: another process's where there is one that holds. Raises `SnapshotGone`, `StoreUnavailable`."""
        known = self._known.get(question)
        since = None if known is None or not self._may_share(question) else self._stale_since(known, ts)
        if known is None or since is None:
            return (await self._run(question, caller, ts))[0]
        name = self._seal.name(question, since)
        with self._told(name) as told:  # from before the claim on, or what is told in between would be missed
            try:
                held = await self._line.claim(name)
            except Away:
                return (await self._run(question, caller, ts))[0]
            if held is None:
                return await self._lead(name, question, caller, ts)
            offer = await self._offered(name, held, told, known, question)
        if offer is not None and holds(offer, ts, self._log, self._clock()):
            self.adopted += 1
            self._remember(question, offer)
            return offer.evaluated()
        return (await self._run(question, caller, ts))[0]

    def hear(self, name: bytes, closed: bytes) -> None:
        """Somebody tells what came of a claim."""
        for each in self._waiting.get(name, ()):
            if not each.done():
                each.set_result(closed)

    def lost(self) -> None:
        """Nobody will tell us anything now: whoever waits goes on alone."""
        for waiting in self._waiting.values():
            for each in waiting:
                if not each.done():
                    each.set_result(b"")

    def _may_share(self, question: Question) -> bool:
        until = self._resting.get(question)
        if until is not None and until <= self._clock():
            del self._resting[question]
            until = None
        return self._line.is_open and until is None

    def _stale_since(self, known: Known, ts: Timestamp) -> str | None:
        return stale_since(known, ts, self._log, self._clock())

    async def _run(self, question: Question, caller: C, ts: Timestamp) -> tuple[Evaluated, Offer | None]:
        """Run it here, and remember it where it is worth sharing."""
        began = self._clock()
        evaluated = await self._evaluate(question, caller, ts)
        offer = offer_of(evaluated, ts, self._clock() - began)
        if offer is None:
            self._known.pop(question, None)
        else:
            self._remember(question, offer)
        return evaluated, offer

    async def _lead(self, name: bytes, question: Question, caller: C, ts: Timestamp) -> Evaluated:
        """Run it for everybody. Nobody here waits for what the others are told."""
        try:
            evaluated, offer = await self._run(question, caller, ts)
        except (SnapshotGone, StoreUnavailable):
            self._spawn(self._tell(name, None))
            raise
        self._spawn(self._tell(name, offer))
        return evaluated

    async def _tell(self, name: bytes, offer: Offer | None) -> None:
        """Offer it, or say that there is nothing to wait for."""
        try:
            await self._line.offer(name, self._seal.close(name, b"" if offer is None else encode(offer)))
        except (Away, OverflowError):
            return
        self.offered += offer is not None

    async def _offered(self, name: bytes, held: bytes, told: Waiting, known: Known, question: Question) -> Offer | None:
        """What came of another's claim, once our log has come as far; None where that takes too long."""
        wait = min(MOST_WAIT_S, max(LEAST_WAIT_S, 2 * known.took_ms / 1_000))
        try:
            async with asyncio.timeout(wait):
                closed = await told if held == CLAIM else held
                content = self._seal.open(name, closed)
                offer = None if content is None else decode(content)
                if offer is not None:
                    await self._reached(Timestamp(offer.ts))
        except TimeoutError:
            self.in_vain += 1
            self._rest(question)
            return None
        return offer

    def _rest(self, question: Question) -> None:
        now = self._clock()
        self._resting = {each: until for each, until in self._resting.items() if until > now}
        self._resting[question] = now + REST

    def _remember(self, question: Question, offer: Offer) -> None:
        """Under the name by which it will be asked again: with the decisions that were taken this time."""
        if len(question.arguments) > MAX_ARGUMENT_BYTES:
            return
        again = msgspec.structs.replace(question, journal=offer.journal)
        known = self._known.pop(again, None)
        if known is None or known.ts <= offer.ts:
            known = Known(Timestamp(offer.ts), offer.evaluated().reads, offer.took_ms)
        self._known[again] = known
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    @contextmanager
    def _told(self, name: bytes) -> Iterator[Waiting]:
        told: Waiting = asyncio.get_running_loop().create_future()
        self._waiting[name].add(told)
        try:
            yield told
        finally:
            told.cancel()
            self._waiting[name].discard(told)
            if not self._waiting[name]:
                del self._waiting[name]
