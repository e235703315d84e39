"""Where calls are counted: in this process, or in Redis for all processes. The arithmetic (GCRA) is the library's.

Invariant: neither has a thread, a timer or a task of its own, and neither grows without end: counts in memory give way to
newer ones, those in Redis expire once they mean nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol, cast

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from throttled.asyncio import BaseStore, MemoryStore, Quota, RedisStore, per_duration
from throttled.asyncio.rate_limiter import GCRARateLimiter
from throttled.exceptions import StoreUnavailableError

from schema.values import Millis
from server.limits.rates import Rate

MAX_COUNTED_CALLERS = 50_000
MAX_LINES = 32
PATIENCE_S = 0.1
"""For an answer of Redis: a call waits no longer than this for being counted."""
NAMESPACE = "anime_leak:limits"


class CountsAway(Exception):
    """The counts cannot be reached now."""


class Verdict(msgspec.Struct, frozen=True):
    """May it go on, and if not, after how long could it?"""

    admitted: bool
    retry_after: Millis


class Counts(Protocol):
    """Counts calls under a key."""

    async def spend(self, key: str, rate: Rate) -> Verdict:
        """Count one call, unless it is one too many. Raises `CountsAway`."""
        ...

    async def look(self, key: str, rate: Rate) -> Verdict:
        """What `spend` would say; nothing is counted. Raises `CountsAway`."""
        ...

    async def aclose(self) -> None:
        """Let go of what is held."""
        ...


class _Counting:
    """The library's limiter for each rate, on one store."""

    def __init__(self, store: BaseStore) -> None:
        self._store = store
        self._limiters: dict[Rate, GCRARateLimiter] = {}

    async def spend(self, key: str, rate: Rate) -> Verdict:
        """Count one call, unless it is one too many. Raises `CountsAway`."""
        try:
            result = await self._limiter(rate).limit(key)
        except (StoreUnavailableError, OSError) as error:
            raise CountsAway from error
        return Verdict(not result.limited, result.state.retry_after * 1_000 if result.limited else 0.0)

    async def look(self, key: str, rate: Rate) -> Verdict:
        """What `spend` would say; nothing is counted. Raises `CountsAway`."""
        try:
            state = await self._limiter(rate).peek(key)
        except (StoreUnavailableError, OSError) as error:
            raise CountsAway from error
        # The library says how long until all of the burst is there again; one call needs less.
        return Verdict(state.remaining > 0, max(0.0, state.reset_after * 1_000 - rate.each + rate.each / rate.count))

    def _limiter(self, rate: Rate) -> GCRARateLimiter:
        limiter = self._limiters.get(rate)
        if limiter is None:
            quota: Quota = per_duration(timedelta(milliseconds=rate.each), rate.count)
            limiter = self._limiters[rate] = GCRARateLimiter(quota, self._store, key_prefix=NAMESPACE)
        return limiter


class CountsHere(_Counting):
    """In this process. The least recently seen callers are forgotten beyond `size` of them."""

    def __init__(self, size: int = MAX_COUNTED_CALLERS) -> None:
        super().__init__(MemoryStore(options={"MAX_SIZE": size}))

    def __repr__(self) -> str:
        return f"<CountsHere {len(self._limiters)} rates>"

    async def aclose(self) -> None:
        """Nothing is held."""


class _Shared(RedisStore):
    """The library's store, that can be closed."""

    async def aclose(self) -> None:
        """Close every connection."""
        await cast("Redis", self._backend.get_client()).aclose(close_connection_pool=True)


class CountsInRedis(_Counting):
    """In Redis, by its clock. Gives up soon and does not try twice: counting is not worth waiting for."""

    def __init__(self, url: str) -> None:
        self._shared = _Shared(
            url,
            {
                "SOCKET_TIMEOUT": PATIENCE_S,
                "SOCKET_CONNECT_TIMEOUT": PATIENCE_S,
                "CONNECTION_POOL_CLASS": "redis.asyncio.BlockingConnectionPool",
                "CONNECTION_POOL_KWARGS": {
                    "protocol": 2,
                    "retry": Retry(NoBackoff(), 0),
                    "max_connections": MAX_LINES,
                    "timeout": PATIENCE_S,
                },
            },
        )
        super().__init__(self._shared)

    def __repr__(self) -> str:
        return f"<CountsInRedis {len(self._limiters)} rates>"

    async def aclose(self) -> None:
        """Close every connection."""
        await self._shared.aclose()
