"""The fastest event loop there is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


def run(work: Awaitable[T]) -> T:
    """Run to the end."""

    async def whole() -> T:
        return await work

    try:
        import uvloop
    except ImportError:
        return asyncio.run(whole())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(whole())
