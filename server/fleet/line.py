"""The line to Redis: claims, offers, and what others tell. It is open while we hear ourselves, and nobody waits for it to open.

Invariant: a command waits `PATIENCE_S` at most; the first that fails closes the line, and while it is closed nobody sends one but
the line itself, in nobody's way. One that was only late puts the line in doubt: it opens again once we hear ourselves in time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from server.fleet.presence import BEAT_S

PATIENCE_S = 0.05
"""For an answer of Redis: somebody's screen waits for it."""
MEET_S = 1.0
"""For the line to open, and for hearing ourselves: nobody waits for that."""
RETRY_S = 1.0
MAX_CONNECTIONS = 8
KEYS = b"anime_leak:fleet:"
CLAIM = b"1"
CLAIM_LASTS_MS = 2_000
"""Of a process that claimed and died. Those who wait for it wait less long than that."""
OFFER_LASTS_MS = 10_000
"""For those whose feed is behind."""

log = logging.getLogger("anime.fleet")


T = TypeVar("T")


class Away(Exception):
    """Redis did not answer in time, or cannot be reached."""


class Line:
    """One process's connections to Redis. `hear` gets what anybody tells, ourselves included; `lost` is called when it closes."""

    def __init__(
        self,
        url: str,
        channel: bytes,
        *,
        greeting: Callable[[], bytes],
        hear: Callable[[bytes], None],
        lost: Callable[[], None],
    ) -> None:
        self._redis = Redis.from_pool(
            BlockingConnectionPool.from_url(
                url,
                protocol=2,
                max_connections=MAX_CONNECTIONS,
                timeout=MEET_S,
                socket_timeout=MEET_S,
                socket_connect_timeout=MEET_S,
                retry=Retry(NoBackoff(), 0),
            )
        )
        self._channel = KEYS + channel.hex().encode()
        self._greeting, self._hear, self._lost = greeting, hear, lost
        self._greeted = b""
        self._echo, self._doubt = asyncio.Event(), asyncio.Event()
        self._is_said_open: bool | None = None
        self.is_open = self._is_broken = False

    def __repr__(self) -> str:
        return f"<Line {'open' if self.is_open else 'closed'}>"

    async def run(self) -> None:
        """Keep the line open, for ever."""
        try:
            while True:
                try:
                    await self._meet()
                except Exception as error:  # whatever the client raises: it is no reason to stop trying
                    self._close(error)
                await asyncio.sleep(RETRY_S)
        finally:
            self.is_open = False
            self._lost()
            await self._redis.aclose()

    async def claim(self, name: bytes) -> bytes | None:
        """Be the one who runs this: None. Else what is there instead: another's claim, or what came of it. Raises `Away`."""
        self._must_be_open()
        both = self._redis.pipeline(transaction=False)  # one command can say both, but only from Redis 7 on
        both.set(_key(name), CLAIM, nx=True, px=CLAIM_LASTS_MS)
        both.get(_key(name))
        is_ours, held = await self._answered(both.execute())
        return None if is_ours else cast("bytes | None", held)

    async def offer(self, name: bytes, closed: bytes) -> None:
        """Leave this where the claim is, for who asks later, and tell those who wait. Raises `Away`."""
        self._must_be_open()
        # In this order, or somebody could find the claim after the word had gone out.
        both = self._redis.pipeline(transaction=False)
        both.set(_key(name), closed, px=OFFER_LASTS_MS)
        both.publish(self._channel, name + closed)
        await self._answered(both.execute())

    async def _answered(self, command: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await command
        except TimeoutError as error:
            self.is_open = False
            self._doubt.set()
            raise Away from error
        except Exception as error:  # whatever the client raises: nobody's answer may fail by it
            self._close(error)
            raise Away from error

    def _must_be_open(self) -> None:
        if not self.is_open:
            raise Away

    async def _meet(self) -> None:
        """Subscribe, and beat for as long as all is well. Raises `Away` when it is not."""
        self._is_broken = False
        pubsub = self._redis.pubsub()
        try:
            async with asyncio.timeout(MEET_S):
                await pubsub.subscribe(self._channel)
            hearing = asyncio.create_task(self._listen(pubsub), name="fleet")
            hearing.add_done_callback(lambda _: self._doubt.set())
            try:
                while not (self._is_broken or hearing.done()):
                    await self._beat()
                raise Away
            finally:
                hearing.cancel()
                await asyncio.gather(hearing, return_exceptions=True)
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _beat(self) -> None:
        """Say that we are here, hear ourselves say so, and wait for the next beat, or for a reason to doubt."""
        self._echo.clear()
        self._doubt.clear()
        self._greeted = self._greeting()
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(MEET_S):
            await self._redis.publish(self._channel, self._greeted)
            await self._echo.wait()
        if not self.is_open and asyncio.get_running_loop().time() - began > PATIENCE_S:
            self._say_alone("it is slow")
            await asyncio.sleep(RETRY_S)
            return
        if not self._is_broken:
            self._open()
        with suppress(TimeoutError):
            async with asyncio.timeout(BEAT_S):
                await self._doubt.wait()

    async def _listen(self, pubsub: PubSub) -> None:
        while True:
            told = await pubsub.get_message(ignore_subscribe_messages=True, timeout=None)
            if told is not None:
                if told["data"] == self._greeted:
                    self._echo.set()
                self._hear(told["data"])

    def _open(self) -> None:
        self.is_open = True
        if self._is_said_open is not True:
            self._is_said_open = True
            log.info("Redis answers; answers are shared between processes", extra={"action": "fleet.shared"})

    def _close(self, error: Exception) -> None:
        """Close the line, and say so once."""
        self._is_broken = True
        self._doubt.set()
        self._lost()
        self._say_alone(type(error).__name__)

    def _say_alone(self, why: str) -> None:
        self.is_open = False
        if self._is_said_open is not False:
            self._is_said_open = False
            log.warning(
                "Redis does not answer in time (%s); each process answers for itself until it does",
                why,
                extra={"action": "fleet.alone"},
            )


def _key(name: bytes) -> bytes:
    return KEYS + name.hex().encode()
