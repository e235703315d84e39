"""What makes a change stream lose its way: a mongod that forgets soon, and a change that no reply can hold.

Invariant: once `roll_the_oplog` returns, no stream can go on from the moment it was given.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from schema.values import Timestamp
from server.store import codec, embedded_child
from server.store.embedded import EmbeddedMongod

OPLOG_MB = 1
CHECKPOINT_EVERY_S = 1
"""What no checkpoint covers yet stays in the oplog."""
DEADLINE_S = 60.0
IMAGE_BYTES = 8_500_000
"""A document may have 16 MiB, and so may an event; but an event shows a document twice."""


@asynccontextmanager
async def forgetful_mongod(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[EmbeddedMongod]:
    """A replica set of one whose memory is short."""
    patch.setattr(embedded_child, "OPLOG_MB", OPLOG_MB)
    impatient = folder / "mongod"
    impatient.write_text(f'#!/bin/sh\nexec "{embedded_child.locate_mongod()}" "$@" --syncdelay {CHECKPOINT_EVERY_S}\n')
    impatient.chmod(0o755)
    async with EmbeddedMongod(folder / "data", locate=lambda: impatient) as mongod:
        yield mongod


async def roll_the_oplog(client: AsyncMongoClient[dict[str, Any]], past: Timestamp) -> None:
    """Write elsewhere until nothing is left of what happened up to `past`."""
    oplog, junk = client["local"]["oplog.rs"], client["junk"]["junk"]
    async with asyncio.timeout(DEADLINE_S):
        while True:
            await junk.insert_many([{"x": secrets.token_hex(50_000)} for _ in range(20)])
            oldest = await oplog.find_one({}, sort=[("$natural", 1)])
            if oldest is not None and codec.timestamp(oldest["ts"]) > past:
                return


async def change_what_is_too_large(users: AsyncCollection[dict[str, Any]]) -> None:
    """Put a huge value, by hand, where the feed looks at it (a field that another table's index has); then change the rest."""
    huge = {"_id": "huge", "userId": "huge", "credits": 1, "generationStatus": "a" * IMAGE_BYTES}
    await users.insert_one(huge, bypass_document_validation=True)
    await users.update_one({"_id": "huge"}, {"$set": {"credits": 2}}, bypass_document_validation=True)
