"""Redis, where limits are counted and answers shared for all processes."""

from __future__ import annotations

from redis.asyncio import Redis
from redis.exceptions import RedisError

from server.config import Settings
from server.doctor.verdict import Verdict
from server.runtime import clock

TIMEOUT_S = 3.0


async def check_redis(settings: Settings) -> Verdict:
    """Does it answer, and how soon?"""
    if settings.redis_url is None:
        return Verdict("skipped", "REDIS_URL is not set: each process counts and answers for itself.")
    redis = Redis.from_url(settings.redis_url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S)
    try:
        version = (await redis.info("server"))["redis_version"]
        began = clock()
        await redis.ping()
        took_ms = clock() - began
    except (RedisError, OSError) as error:
        return Verdict("failed", f"Redis does not answer ({type(error).__name__}).", "Look at REDIS_URL.")
    finally:
        await redis.aclose()
    return Verdict("ok", f"Redis {version} answers in {took_ms:.1f} ms.")
