"""Waits end when they are told to, and not before."""

from __future__ import annotations

import asyncio

import pytest

from jobs.waits import Waits


async def test_ending_lets_every_wait_return_and_later_ones_at_once() -> None:
    waits = Waits()
    tasks = [asyncio.create_task(waits.wait(asyncio.Event().wait)) for _ in range(3)]
    await asyncio.sleep(0)
    assert repr(waits) == "<Waits going on, 3 waiting>"
    waits.end()
    await asyncio.gather(*tasks)
    await waits.wait(asyncio.Event().wait)
    assert repr(waits) == "<Waits ended, 0 waiting>"


async def test_a_wait_ends_with_what_it_waits_for() -> None:
    waits, event = Waits(), asyncio.Event()
    event.set()
    await waits.wait(event.wait)
    assert repr(waits) == "<Waits going on, 0 waiting>"


async def test_a_wait_raises_what_it_waits_for_and_is_cancelled_as_usual() -> None:
    async def late() -> None:
        raise TimeoutError

    waits = Waits()
    with pytest.raises(TimeoutError):
        await waits.wait(late)
    task = asyncio.create_task(waits.wait(asyncio.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert repr(waits) == "<Waits going on, 0 waiting>"
