"""A cancellation that something below dropped still ends the task."""

from __future__ import annotations

import asyncio

import pytest

from jobs.cancellation import honoured


async def dropping(started: asyncio.Event) -> str:
    """What `asyncio.wait_for` of Python 3.11 does when it is cancelled just as its work ends."""
    started.set()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return "done all the same"
    return "never"


async def test_a_dropped_cancellation_is_honoured() -> None:
    started = asyncio.Event()
    task = asyncio.create_task(honoured(dropping(started)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_dropped_timeout_is_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await honoured(dropping(asyncio.Event()))


async def test_without_a_cancellation_the_result_comes_through() -> None:
    assert await honoured(asyncio.sleep(0, "result")) == "result"
