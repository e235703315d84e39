"""A watch over the driver: a process whose client no longer reaches a database that answers everybody else ends itself.

Seen once in half an hour of killing `mongod` again and again, with PyMongo 4.20 on Python 3.11: one process's client never came
back, every operation waited for a lock of the driver's that no deadline reaches, and its sockets stood still behind a red
`/readyz`. Whoever supervises processes starts another; clients come back to whoever is there.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from server.store.failures import heed_cancellation

Client = AsyncMongoClient[dict[str, Any]]

EVERY_S: Final = 10.0
PATIENCE_S: Final = 10.0
STRIKES: Final = 3
"""In a row. A failover is over sooner, and a database that is away answers nobody."""

log = logging.getLogger("anime.start")


class DriverStuck(Exception):
    """The database answers a new connection, and none of this process's."""

    def __init__(self) -> None:
        super().__init__(
            "The database answers, but not over this process's connections, and has not for a while. "
            "The process ends, so that another can take its place: start it again."
        )


async def watch_over(client: Client, uri: str) -> None:
    """Look for ever. Raises `DriverStuck`."""
    strikes = 0
    while strikes < STRIKES:
        await asyncio.sleep(EVERY_S)
        if await _answers(client):
            strikes = 0
        else:
            strikes = strikes + 1 if await _answers_anew(uri) else 0
            log.warning(
                "the database does not answer us, %d times in a row others", strikes, extra={"action": "store.stuck"}
            )
    raise DriverStuck


async def _answers(client: Client) -> bool:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await client.admin.command("ping")
    except (PyMongoError, TimeoutError):
        heed_cancellation()
        return False
    return True


async def _answers_anew(uri: str) -> bool:
    try:
        async with (
            asyncio.timeout(2 * PATIENCE_S),
            AsyncMongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=int(PATIENCE_S * 500)) as another,
        ):
            return await _answers(another)
    except (PyMongoError, TimeoutError):  # no name server, for one: then nobody can tell
        heed_cancellation()
        return False
