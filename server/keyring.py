"""The product's own keys: made at first start, kept in the database, so that all processes sign alike."""

from __future__ import annotations

import secrets
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.collection import ReturnDocument

from schema.document import table_of
from schema.errors import StoreUnavailable
from schema.system import Secret
from schema.values import Millis

KEY_BYTES = 32


async def shared_key(database: AsyncDatabase[dict[str, Any]], name: str, now: Millis) -> bytes:
    """The key of that name, made by whoever asks first."""
    found: dict[str, Any] | None = await database[table_of(Secret).name].find_one_and_update(
        {"_id": name},
        {"$setOnInsert": {"key": secrets.token_hex(KEY_BYTES), "_creationTime": now}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    if found is None:
        raise StoreUnavailable(f"the key {name} was neither found nor made")
    return bytes.fromhex(found["key"])
