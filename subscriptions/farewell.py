"""A farewell: how a socket is ended so that what was said arrives and the client finds its way.

Invariant: it ends, whatever the client does.
"""

from __future__ import annotations

import asyncio
import logging

from subscriptions.effects import Finish
from subscriptions.outbox import Outbox
from subscriptions.seams import Socket

DRAIN_S = 3.0
"""How long a client may take to close after an error, which some need to find their way (sync-protocol 6.3)."""

log = logging.getLogger("anime.socket")


async def farewell(socket: Socket, outbox: Outbox, finish: Finish, gone: asyncio.Event) -> None:
    """Let everything leave and the client close first, if it may; then close, and cut off who does not take that."""
    await outbox.flush(DRAIN_S)
    try:
        if finish.drain:
            async with asyncio.timeout(DRAIN_S):
                await gone.wait()
    except TimeoutError:
        log.debug("a client did not close by itself", extra={"action": "socket.closing"})
    try:
        async with asyncio.timeout(DRAIN_S):
            if not gone.is_set():
                await socket.close(finish.code, finish.reason)
                await gone.wait()
    except TimeoutError:
        socket.line.abort()
