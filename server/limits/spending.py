"""Rates, spent: each call is counted where all processes see it, and in this process while that place cannot be reached.

Invariant: no call fails or waits because Redis is away; whoever is refused is told when to come back.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from schema.values import Millis, seconds
from server.errors import RateLimited
from server.limits.counts import PATIENCE_S, Counts, CountsAway, CountsHere, CountsInRedis, Verdict
from server.limits.rates import Rate

RETRY: Millis = seconds(1)
"""How long Redis is left alone after it did not answer."""

log = logging.getLogger("anime.limits")


class Limits:
    """Counts what callers do. Without `redis_url` they are counted in this process alone."""

    __slots__ = ("_away_until", "_clock", "_here", "_shared", "hit")

    def __init__(self, clock: Callable[[], Millis], redis_url: str | None = None) -> None:
        self._clock = clock
        self._here: Counts = CountsHere()
        self._shared: Counts | None = CountsInRedis(redis_url) if redis_url is not None else None
        self._away_until: Millis | None = None
        self.hit: Counter[str] = Counter()
        """How often somebody was refused, by what they did too often."""

    def __repr__(self) -> str:
        where = "here" if self._shared is None else "in Redis" if self._away_until is None else "here, Redis is away"
        return f"<Limits counted {where}>"

    async def spend(self, what: str, who: str, rate: Rate) -> None:
        """Count one call. Raises `RateLimited`; a refused call is not counted."""
        if rate.count:
            self._admit(what, await self._ask(lambda counts: counts.spend(f"{what}:{who}", rate)))

    async def check(self, what: str, who: str, rate: Rate) -> None:
        """Could one more be counted now? Counts nothing. Raises `RateLimited`."""
        if rate.count:
            self._admit(what, await self._ask(lambda counts: counts.look(f"{what}:{who}", rate)))

    async def count(self, what: str, who: str, rate: Rate) -> None:
        """Count one call that cannot be refused any more."""
        if rate.count:
            await self._ask(lambda counts: counts.spend(f"{what}:{who}", rate))

    def metrics(self) -> Mapping[str, float]:
        """Refusals, by what there was too much of."""
        return {f'anime_limits_hit_total{{limit="{what.replace(" ", "_")}"}}': n for what, n in self.hit.items()}

    async def aclose(self) -> None:
        """Let go of Redis."""
        if self._shared is not None:
            await self._shared.aclose()

    async def _ask(self, question: Callable[[Counts], Awaitable[Verdict]]) -> Verdict:
        shared = self._reachable()
        if shared is not None:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    verdict = await question(shared)
            except (CountsAway, TimeoutError) as error:
                self._lost(error)
            else:
                self._found()
                return verdict
        return await question(self._here)

    def _reachable(self) -> Counts | None:
        """Redis, unless it is being left alone. While it is away one call in a while tries."""
        if self._away_until is not None:
            if self._clock() < self._away_until:
                return None
            self._away_until = self._clock() + RETRY
        return self._shared

    def _lost(self, error: Exception) -> None:
        if self._away_until is None:
            reason: BaseException = error
            while reason.__cause__ is not None:
                reason = reason.__cause__
            log.warning(
                "Redis does not answer (%s); each process counts for itself until it does", type(reason).__name__,
                extra={"action": "limits.alone"},
            )  # fmt: skip
        self._away_until = self._clock() + RETRY

    def _found(self) -> None:
        if self._away_until is not None:
            self._away_until = None
            log.info("Redis answers again; calls are counted for all processes", extra={"action": "limits.shared"})

    def _admit(self, what: str, verdict: Verdict) -> None:
        if not verdict.admitted:
            self.hit[what] += 1
            raise RateLimited(math.ceil(verdict.retry_after))
