"""Cancellation that cannot get lost below us.

`asyncio.wait_for` of Python 3.11 drops a cancellation that meets the end of what it waits for (fixed in 3.12), and
network drivers use it. A task cancelled once would live on, and whoever waits for its end would wait for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def honoured(awaitable: Awaitable[T]) -> T:
    """What `awaitable` returns. Raises `CancelledError` if this task was cancelled meanwhile and that was dropped below."""
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    result = await awaitable
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
    return result
