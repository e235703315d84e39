"""The census: what can only be known by looking at everything, taken a slice at a time, so that no push waits for it.

Bytes are estimates: what is known exactly (results, frames that wait) is added to what an object of its kind was measured to
take. They say which owner grows; how much memory there is, the system says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from mmap import PAGESIZE
from pathlib import Path
from typing import TypeVar

import msgspec

from server.executor import Caller
from server.web.socket import SyncEndpoint
from subscriptions.answers import Answer
from subscriptions.effects import Value
from subscriptions.hub import Hub

T = TypeVar("T")

SLICE = 500
ANSWER_BYTES, RANGE_BYTES, TOUCH_BYTES, SOCKET_BYTES, EVENT_BYTES = 2_000, 400, 1_200, 36 << 10, 2_048
"""An answer with its read set, each of its ranges; a key in the log; a socket with all that belongs to it; a change held back."""
STATM = Path("/proc/self/statm")


class Count(msgspec.Struct, frozen=True):
    """What was there."""

    live_queries: int
    answer_bytes: int
    waiting_bytes: int


async def take(hub: Hub[Caller], endpoint: SyncEndpoint | None) -> Count:
    """Look at every answer and every socket, with everybody else served in between."""
    live = held = waiting = 0
    async for answers in _slices(list(hub.answers)):
        live += sum(map(hub.shown_to, answers))
        held += sum(map(_bytes_of, answers))
    if endpoint is not None:
        async for workers in _slices(list(endpoint)):
            waiting += sum(worker.waiting_bytes for worker in workers)
    return Count(live, held, waiting)


def memory(count: Count, hub: Hub[Caller], sockets: int, held_events: int) -> Mapping[str, float]:
    """Who holds how much, by metric name."""
    owners = {
        "answers": count.answer_bytes,
        "log": hub.log.touched * TOUCH_BYTES,
        "sockets": sockets * SOCKET_BYTES,
        "outboxes": count.waiting_bytes,
        "feed": held_events * EVENT_BYTES,
    }
    return {f'anime_memory_bytes{{owner="{owner}"}}': held for owner, held in owners.items()}


def resident_bytes() -> int | None:
    """The memory of this process; None where the system does not say."""
    try:
        return int(STATM.read_text().split()[1]) * PAGESIZE
    except (OSError, ValueError, IndexError):
        return None


def _bytes_of(answer: Answer) -> int:
    result = answer.result
    said = len(result.value) if isinstance(result, Value) else len(result.message)
    return ANSWER_BYTES + RANGE_BYTES * len(answer.reads.ranges) + said


async def _slices(things: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    for start in range(0, len(things), SLICE):
        yield things[start : start + SLICE]
        await asyncio.sleep(0)
