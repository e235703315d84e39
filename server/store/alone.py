"""Being the only one who migrates: a note in the database that its holder renews, and that lapses when the holder is killed.

Invariant: nobody takes it from a holder who renews in time. The database's clock decides, not ours. Should it be lost all the
same, nothing breaks: whatever is done under it may be done twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pymongo
from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from schema.errors import NotUnique
from server.ids import request_id
from server.store.failures import heed_cancellation, translated

RawDocument = dict[str, Any]

LEASE: Final = "lease"
LEASE_S: Final = 30.0
RENEW_S: Final = 8.0
RETRY_S: Final = 0.1
DEADLINE_S: Final = 10.0
UNTIL: Final = {"$add": ["$$NOW", LEASE_S * 1_000]}

log = logging.getLogger("anime.start")


class Occupied(Exception):
    """Another process migrates this database now."""

    def __init__(self, holder: str) -> None:
        super().__init__(
            f"{holder} migrates this database now. Let it finish and run this again; "
            f"if it was killed, wait {LEASE_S:.0f} seconds."
        )


@asynccontextmanager
async def alone(notes: AsyncCollection[RawDocument], holder: str, *, wait_s: float = 0.0) -> AsyncIterator[None]:
    """Nobody else is in here. Raises `Occupied` when somebody still is after `wait_s`, and `StoreUnavailable`."""
    deadline = asyncio.get_running_loop().time() + wait_s
    token = request_id()
    while not await _take(notes, holder, token):
        if asyncio.get_running_loop().time() >= deadline:
            with translated(), pymongo.timeout(DEADLINE_S):
                found = await notes.find_one({"_id": LEASE})
            raise Occupied("Another process" if found is None else found["holder"])
        await asyncio.sleep(RETRY_S)
    renewing = asyncio.create_task(_renew(notes, token), name="lease")
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.wait((renewing,))
        with translated(), pymongo.timeout(DEADLINE_S):
            await notes.delete_one({"_id": LEASE, "token": token})


async def _take(notes: AsyncCollection[RawDocument], holder: str, token: str) -> bool:
    free = {"$lte": ["$until", "$$NOW"]}  # what is absent is before everything
    mine = {"token": {"$literal": token}, "holder": {"$literal": holder}, "until": UNTIL}
    change = [{"$set": {name: {"$cond": [free, value, f"${name}"]} for name, value in mine.items()}}]
    try:
        with translated(), pymongo.timeout(DEADLINE_S):
            found = await notes.find_one_and_update(
                {"_id": LEASE}, change, upsert=True, return_document=ReturnDocument.AFTER
            )
    except NotUnique:  # somebody else was first to make it
        return False
    return found is not None and found["token"] == token


async def _renew(notes: AsyncCollection[RawDocument], token: str) -> None:
    while True:
        await asyncio.sleep(RENEW_S)
        try:
            with pymongo.timeout(DEADLINE_S):
                await notes.update_one({"_id": LEASE, "token": token}, [{"$set": {"until": UNTIL}}])
        except PyMongoError as error:  # there is time for another attempt
            log.warning("lease not renewed: %s", type(error).__name__, extra={"action": "migrate.lease"})
        heed_cancellation()
