"""The story of several processes that count together, and of the Redis between them that goes away and comes back."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from schema.values import Millis, minutes
from server.errors import RateLimited
from server.limits import Limits, per_member
from server.limits.spending import RETRY
from tests.scenarios.test_limits import bad_sign_in
from tests.support.live import Refusal, world_client
from tests.support.redis import RedisServer, redis_server
from tests.support.world import open_world

FOUR = per_member(4, each=minutes(1))


class Clock:
    """The time that decides when Redis is tried again."""

    now: Millis = 1_800_000_000_000.0

    def __call__(self) -> Millis:
        return self.now


@asynccontextmanager
async def counting(clock: Clock, redis: RedisServer) -> AsyncIterator[Limits]:
    limits = Limits(clock, redis.url)
    try:
        yield limits
    finally:
        await limits.aclose()


async def admitted(limits: Limits, times: int, who: str = "ana") -> int:
    """How many of so many calls were let in."""
    count = 0
    for _ in range(times):
        with suppress(RateLimited):
            await limits.spend("f", who, FOUR)
            count += 1
    return count


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path) as running:
        yield running


async def test_two_count_together(redis: RedisServer) -> None:
    async with counting(Clock(), redis) as one, counting(Clock(), redis) as two:
        assert [await admitted(one, 2), await admitted(two, 3), await admitted(one, 1)] == [2, 2, 0]
        with pytest.raises(RateLimited) as refused:
            await two.check("f", "ana", FOUR)
        assert 0 < float(refused.value.more["retryAfterMs"]) <= 15_000
        assert await admitted(two, 1, who="ben") == 1


async def test_without_redis_everybody_counts_alone_until_it_is_back(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "anime.limits")
    clock = Clock()
    async with counting(clock, redis) as one, counting(clock, redis) as two:
        assert await admitted(one, 4) + await admitted(two, 1) == 4
        await redis.kill()
        assert [await admitted(one, 5), await admitted(two, 5)] == [4, 4]
        assert [record.__dict__["action"] for record in caplog.records] == ["limits.alone"] * 2
        clock.now += RETRY
        assert await admitted(one, 1) == 0  # tried again, in vain
        await redis.start()
        assert await admitted(one, 1) == 0  # left alone for a while
        clock.now += RETRY
        assert await admitted(one, 2) + await admitted(two, 3) == 4
        told = [record.__dict__["action"] for record in caplog.records]
        assert told == ["limits.alone"] * 2 + ["limits.shared"] * 2


async def test_a_redis_that_hangs_keeps_nobody(redis: RedisServer) -> None:
    async with counting(Clock(), redis) as limits:
        assert await admitted(limits, 1) == 1
        redis.freeze()
        assert await admitted(limits, 5) == 4
        assert "Redis is away" in repr(limits)


async def test_two_products_share_what_a_member_may_do(mongod_uri: str, redis: RedisServer) -> None:
    variables = {"REDIS_URL": redis.url, "MUTATIONS_PER_MINUTE_PER_MEMBER": "3"}
    async with (
        open_world(mongod_uri, registry=None, **variables) as here,
        open_world(mongod_uri, registry=None, **variables) as there,
        world_client(here, "ana") as ana,
        world_client(there, "ana") as also_ana,
    ):
        for client in (ana, also_ana, ana):
            await client.mutation("users:ensureUser")
        with pytest.raises(Refusal) as refused:
            await also_ana.mutation("users:ensureUser")
        assert refused.value.code == "RATE_LIMITED"
        await redis.kill()
        await also_ana.mutation("users:ensureUser")


async def test_a_product_without_its_redis_serves(mongod_uri: str, redis: RedisServer) -> None:
    await redis.kill()
    variables = {"REDIS_URL": redis.url, "FAILED_SIGN_INS_PER_MINUTE_PER_ADDRESS": "5"}
    async with open_world(mongod_uri, registry=None, **variables) as world, world_client(world, "ana") as ana:
        await ana.mutation("users:ensureUser")
        assert await bad_sign_in(world) == "AuthError"
