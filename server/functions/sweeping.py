"""Sweeping: uploads that nobody claimed, and contents that no row refers to.

Invariant: a file that is in use is never taken. A row is deleted only in a transaction that has seen it unclaimed; a content
only when it is older than any work that might still be about to refer to it.
"""

from __future__ import annotations

import logging
from functools import partial

from jobs.queue import enqueue
from schema.blobs import Blob
from schema.system import Job
from schema.values import Id, Millis, hours
from schema.writer import Writer
from server.database import Database
from server.store.gridfs import BlobVault
from server.work import ERASE_FILE

UNCLAIMED_FOR: Millis = hours(24)
BATCH = 100

log = logging.getLogger("anime.files")


class Sweeper:
    """Looks for files that nobody needs."""

    def __init__(self, database: Database, vault: BlobVault) -> None:
        self._database, self._vault = database, vault

    def __repr__(self) -> str:
        return f"<Sweeper of {self._vault!r}>"

    async def erase(self, job: Job) -> None:
        """Delete the content that an `erase_file` job names; its row was deleted in the transaction that asked."""
        await self._vault.delete(job.subject)

    async def sweep(self, job: Job) -> None:
        """Sweep everything that was left a day before the job was asked for."""
        before = job.created_at - UNCLAIMED_FOR
        rows = await self._sweep_rows(before)
        contents = await self._sweep_contents(before)
        chunks = await self._vault.sweep_chunks(before)
        log.info(
            "swept %d unclaimed uploads, %d contents without a row, %d torn ones",
            rows,
            contents,
            chunks,
            extra={"action": "files.swept"},
        )

    async def _sweep_rows(self, before: Millis) -> int:
        swept = 0
        while True:
            count, _ = await self._database.transact(partial(_forget_unclaimed, before=before))
            swept += count
            if count < BATCH:
                return swept

    async def _sweep_contents(self, before: Millis) -> int:
        swept, last = 0, ""
        while batch := await self._vault.older_than(before, after=last, limit=BATCH):
            last = batch[-1]
            db = await self._database.newest()
            for blob_id in batch:
                if await db.get(Blob, Id[Blob](blob_id)) is None:
                    await self._vault.delete(blob_id)
                    swept += 1
        return swept


async def _forget_unclaimed(db: Writer, before: Millis) -> int:
    """Delete the rows of uploads that nobody claimed, and have their contents erased."""
    left = Blob.by_claimed.eq(kind="upload", claimed_at=None).below(before)
    rows = await db.take(left, BATCH)
    for blob in rows:
        await db.delete(blob)
        await enqueue(db, ERASE_FILE, blob.id, owner=blob.owner)
    return len(rows)
