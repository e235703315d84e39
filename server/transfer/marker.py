"""A database's note that an import is under way: from before its first write until everything is there.

It lies beside the blobs, where no feed passes and no schema asks what it is.
"""

from __future__ import annotations

from typing import Any, Final

import pymongo
from pymongo import AsyncMongoClient

from server.store.failures import translated

RawDocument = dict[str, Any]

IMPORTS: Final = "imports"
UNDER_WAY: Final = "under way"
DEADLINE_S: Final = 10.0


class Marker:
    """The note of one database. `done` are the files of documents that are in."""

    def __init__(self, client: AsyncMongoClient[RawDocument], blobs_database: str) -> None:
        self._notes = client[blobs_database][IMPORTS]

    def __repr__(self) -> str:
        return f"<Marker in {self._notes.database.name}>"

    async def read(self) -> tuple[str, list[str]] | None:
        """The export that is being imported and which of its files are in; None where none is. Raises `StoreUnavailable`."""
        with translated(), pymongo.timeout(DEADLINE_S):
            found = await self._notes.find_one({"_id": UNDER_WAY})
        return None if found is None else (found["exportId"], found["done"])

    async def set(self, export_id: str) -> None:
        """Begin."""
        with translated(), pymongo.timeout(DEADLINE_S):
            await self._notes.insert_one({"_id": UNDER_WAY, "exportId": export_id, "done": []})

    async def add(self, name: str) -> None:
        """One more file of documents is in."""
        with translated(), pymongo.timeout(DEADLINE_S):
            await self._notes.update_one({"_id": UNDER_WAY}, {"$push": {"done": name}})

    async def remove(self) -> None:
        """Everything is there, or nothing was begun."""
        with translated(), pymongo.timeout(DEADLINE_S):
            await self._notes.drop()
