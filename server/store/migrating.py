"""The steps of a migration on a real database: which were taken, and the taking of them.

What was taken is noted beside the blobs, where no feed passes and no schema asks what it is. Invariant: a step is noted once all
of it is done, and until then how far it is; so one that was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import pymongo
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import WriteError

from schema.migrations import Mending, Phase, Step
from server.store.failures import translated

RawDocument = dict[str, Any]

MIGRATIONS: Final = "migrations"
BATCH: Final = 1_000
DEADLINE_S: Final = 30.0
REFUSED_BY_RULE: Final = 121


class MendingRefused(Exception):
    """A document is wrong in more ways than the step knows, so the collection's rule refuses what it would become."""

    def __init__(self, table: str, document_id: object) -> None:
        super().__init__(
            f"The document {document_id} of {table} lacks more than this step fills in, and the rule of {table} refuses it. "
            "Put it right, or delete it, and run this again."
        )


class Migrations:
    """The notes of one database."""

    def __init__(self, client: AsyncMongoClient[RawDocument], blobs_database: str) -> None:
        self.notes = client[blobs_database][MIGRATIONS]

    def __repr__(self) -> str:
        return f"<Migrations of {self.notes.database.name}>"

    async def taken(self) -> dict[int, Phase]:
        """The numbers of the steps that were taken, and their phases. Raises `StoreUnavailable`."""
        with translated(), pymongo.timeout(DEADLINE_S):
            rows = await self.notes.find({"done": True}).to_list()
        return {row["_id"]: row["phase"] for row in rows}

    async def note(self, *steps: Step) -> None:
        """These were taken."""
        for step in steps:
            await self._note(step, {"done": True}, {"at": ""})

    async def mend(self, database: AsyncDatabase[RawDocument], step: Step, tell: Callable[[int], None]) -> None:
        """Take a step through the documents of its tables, from where it was; tell how many were changed after each batch.

        Raises `MendingRefused` and `StoreUnavailable`.
        """
        for number, mending in enumerate(step.mendings):
            at = await self._at(step, number)
            while (last := await _reach(database, mending.table, at)) is not None:
                tell(await _mend(database, mending, at, last))
                at = last
                await self._note(step, {"at": {"mending": number, "after": at}})
        await self.note(step)

    async def _at(self, step: Step, number: int) -> Any:
        """The last document of the mending that is behind us; None at its beginning."""
        with translated(), pymongo.timeout(DEADLINE_S):
            found = await self.notes.find_one({"_id": step.number})
        at = (found or {}).get("at", {})
        return at["after"] if at.get("mending") == number else None

    async def _note(self, step: Step, fields: RawDocument, gone: Mapping[str, str] | None = None) -> None:
        change = {"$set": {"phase": step.phase, "title": step.title, **fields}, **({"$unset": gone} if gone else {})}
        with translated(), pymongo.timeout(DEADLINE_S):
            await self.notes.update_one({"_id": step.number}, change, upsert=True)


async def _reach(database: AsyncDatabase[RawDocument], table: str, after: Any) -> Any:
    """The last of the next documents, in the order of their ids; None at the end."""
    behind = {} if after is None else {"_id": {"$gt": after}}
    with translated(), pymongo.timeout(DEADLINE_S):
        rows = await database[table].find(behind, {"_id": 1}).sort("_id", 1).limit(BATCH).to_list()
    return rows[-1]["_id"] if rows else None


async def _mend(database: AsyncDatabase[RawDocument], mending: Mending, after: Any, last: Any) -> int:
    """Mend those that want it, field by field: others may write to them meanwhile."""
    absent = [{field: None} for field in mending.fill]
    surplus = [{field: {"$exists": True}} for field in mending.remove]
    reach = {"$lte": last} if after is None else {"$gt": after, "$lte": last}
    change: list[RawDocument] = []
    if mending.fill:
        change.append({"$set": {field: {"$ifNull": [f"${field}", value]} for field, value in mending.fill.items()}})
    if mending.remove:
        change.append({"$unset": list(mending.remove)})
    try:
        with translated(), pymongo.timeout(DEADLINE_S):
            result = await database[mending.table].update_many({"_id": reach, "$or": [*absent, *surplus]}, change)
    except WriteError as error:
        if error.code != REFUSED_BY_RULE:
            raise
        failing = (error.details or {}).get("errInfo", {}).get("failingDocumentId", "?")
        raise MendingRefused(mending.table, failing) from error
    return result.modified_count
