"""The export: everything that is in the database at one moment, as a folder of files.

Blobs come first, because they take long and never change; then all documents as of one cluster time, while the database still
knows it; then the blobs whose rows came meanwhile. Invariant: what has its own name is whole, so it may be killed anywhere.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pymongo
from pymongo import AsyncMongoClient

from schema.errors import SnapshotGone
from schema.values import ZERO, Millis, Timestamp, hours
from server.store import codec
from server.store.failures import translated
from server.store.gridfs import BlobMissing, BlobVault
from server.store.mongo import READ_DEADLINE_S, MongoStore
from server.transfer.choice import BLOBS, LEFT_OUT, exported
from server.transfer.errors import TransferRefused
from server.transfer.files import Draft, blob_place, digest_of
from server.transfer.lines import BATCH, PART_BYTES, PartWriter, read_batches
from server.transfer.manifest import JOURNAL, Journal, Manifest, write_journal, write_manifest

RawDocument = dict[str, Any]
Tell = Callable[[str], None]

DOCUMENTS: Final = "documents"
BLOBS_FOLDER: Final = "blobs"
BLOBS_COPIED: Final = "blobs.new"
"""Copied, and nobody knows yet whether they have a row."""
AT_ONCE: Final = 16
"""Blobs that are copied side by side."""
MAX_BEGINNINGS: Final = 3
TOLD_EVERY: Final = 2_000
AHEAD: Final[Millis] = hours(24)
"""No clock of a server is so far ahead of ours: every blob is older than that."""


class Export:
    """One export into one folder, which nobody else writes to."""

    def __init__(
        self,
        client: AsyncMongoClient[RawDocument],
        store: MongoStore,
        vault: BlobVault,
        folder: Path,
        journal: Journal,
        *,
        clock: Callable[[], Millis],
        tell: Tell,
    ) -> None:
        self._client, self._store, self._vault = client, store, vault
        self._folder, self._journal = folder, journal
        self._clock, self._tell = clock, tell

    def __repr__(self) -> str:
        return f"<Export {self._journal.export_id} to {self._folder}>"

    async def run(self) -> Manifest:
        """Do what is left to do, and finish. Raises `TransferRefused`, `StoreUnavailable`, `OSError`."""
        await asyncio.to_thread(write_journal, self._folder, self._journal)
        if self._journal.cluster_time == ZERO:
            await self._copy_blobs()
        await self._write_documents()
        missing, lost, blobs, blob_bytes = await self._place_blobs()
        counts = dict.fromkeys(exported(), 0)
        for part in self._journal.parts:
            counts[part.table] += part.documents
        manifest = Manifest(
            export_id=self._journal.export_id,
            database=self._journal.database,
            mongodb=(await self._client.server_info())["version"],
            cluster_time=self._journal.cluster_time,
            as_of=self._journal.cluster_time >> 32,
            finished_at=self._clock(),
            parts=self._journal.parts,
            counts=counts,
            blobs=blobs,
            blob_bytes=blob_bytes,
            missing=missing,
            lost=lost,
            left_out=dict(LEFT_OUT),
        )
        await asyncio.to_thread(self._finish, manifest)
        return manifest

    def _finish(self, manifest: Manifest) -> None:
        shutil.rmtree(self._folder / BLOBS_COPIED, ignore_errors=True)
        os.sync()  # one for all: a sync for each of many small blobs takes longer than their copying
        write_manifest(self._folder, manifest)
        (self._folder / JOURNAL).unlink()

    # --- blobs ---------------------------------------------------------------------------------------------------------

    async def _copy_blobs(self) -> None:
        last, count = "", 0
        while ids := await self._vault.older_than(self._clock() + AHEAD, after=last, limit=BATCH):
            for first in range(0, len(ids), AT_ONCE):
                async with asyncio.TaskGroup() as group:
                    for blob_id in ids[first : first + AT_ONCE]:
                        group.create_task(self._copy(blob_id))
            last, count = ids[-1], count + len(ids)
            if count % TOLD_EVERY < BATCH:
                self._tell(f"{count} files copied")

    async def _copy(self, blob_id: str) -> bool:
        """Copy a blob, if it is not here already. False where there is none."""
        path = self._folder / BLOBS_COPIED / blob_place(blob_id)
        if path.exists():
            return True
        with Draft(path) as draft:
            try:
                async for piece in self._vault.read(blob_id):
                    await asyncio.to_thread(draft.write, piece)
            except BlobMissing:
                return False
            await asyncio.to_thread(draft.keep, at_once=False)
        return True

    async def _place_blobs(self) -> tuple[list[str], list[str], int, int]:
        """Give every row its file, and check it: those deleted meanwhile, those lost, and how many with how many bytes."""
        missing: list[str] = []
        lost: list[str] = []
        blobs = blob_bytes = 0
        for part in [part for part in self._journal.parts if part.table == BLOBS]:
            batches = read_batches(self._folder, part)
            while rows := await asyncio.to_thread(next, batches, None):
                for row in rows:
                    if await self._place(row["_id"], row["sha256"]):
                        blobs, blob_bytes = blobs + 1, blob_bytes + int(row["size"])
                    elif await self._is_live(row["_id"]):
                        lost.append(row["_id"])
                    else:
                        missing.append(row["_id"])
        self._tell(f"{blobs} files are here and checked")
        return missing, lost, blobs, blob_bytes

    async def _place(self, blob_id: str, sha256: str) -> bool:
        """A copy that a power cut spoiled is made once more; False where the content cannot be had."""
        place = self._folder / BLOBS_FOLDER / blob_place(blob_id)
        copied = self._folder / BLOBS_COPIED / blob_place(blob_id)
        for _ in range(2):
            if await asyncio.to_thread(_moved, copied, place, sha256):
                return True
            if not await self._copy(blob_id):
                return False
        return await asyncio.to_thread(_moved, copied, place, sha256)

    async def _is_live(self, blob_id: str) -> bool:
        with translated(), pymongo.timeout(READ_DEADLINE_S):
            return await self._store.database[BLOBS].find_one({"_id": blob_id}, {"_id": 1}) is not None

    # --- documents -----------------------------------------------------------------------------------------------------

    async def _write_documents(self) -> None:
        for _ in range(MAX_BEGINNINGS):
            if self._journal.cluster_time == ZERO:
                self._journal.cluster_time = await self._store.newest()
                await asyncio.to_thread(write_journal, self._folder, self._journal)
            try:
                for table in exported():
                    if table not in self._journal.tables_done:
                        await self._write_table(table)
                return
            except SnapshotGone:
                self._tell(
                    "the database has forgotten the moment of this export; its documents begin again at a new one"
                )
                self._journal.cluster_time, self._journal.parts, self._journal.tables_done = ZERO, [], []
                await asyncio.to_thread(write_journal, self._folder, self._journal)
                await asyncio.to_thread(shutil.rmtree, self._folder / DOCUMENTS, ignore_errors=True)
        raise TransferRefused(
            "Reading all documents takes longer than the database remembers one moment. Have it remember longer: "
            "set its parameter minSnapshotHistoryWindowInSeconds to 3600, and run this again."
        )

    async def _write_table(self, table: str) -> None:
        parts = [part for part in self._journal.parts if part.table == table]
        last, number = parts[-1].last_id if parts else "", len(parts)
        batches = self._batches(table, last)
        rows = await anext(batches, None)
        while rows:
            number += 1
            name = f"{DOCUMENTS}/{table}.{number}.jsonl.gz"
            writer = PartWriter(self._folder, name, table)
            try:
                while rows and writer.line_bytes < PART_BYTES:
                    await asyncio.to_thread(writer.write, rows)
                    rows = await anext(batches, None)
                self._journal.parts.append(await asyncio.to_thread(writer.keep))
            finally:
                writer.drop()
            await asyncio.to_thread(write_journal, self._folder, self._journal)
            self._tell(f"{name}: {writer.documents} documents")
        self._journal.tables_done.append(table)

    async def _batches(self, table: str, last: str) -> AsyncIterator[list[RawDocument]]:
        while rows := await _batch(self._store, table, last, self._journal.cluster_time):
            yield rows
            last = rows[-1]["_id"]


async def _batch(store: MongoStore, table: str, last: str, ts: Timestamp) -> list[RawDocument]:
    """The next documents as of `ts`; fewer where they are large, none at the end."""
    command = {
        "find": table,
        "filter": {"_id": {"$gt": last}},
        "sort": {"_id": 1},
        "limit": BATCH,
        "batchSize": BATCH,
        "singleBatch": True,
        "readConcern": {"level": "snapshot", "atClusterTime": codec.cluster_time(ts)},
    }
    with translated(), pymongo.timeout(READ_DEADLINE_S):
        reply = await store.database.command(command)
    rows: list[RawDocument] = reply["cursor"]["firstBatch"]
    return rows


def _moved(copied: Path, place: Path, sha256: str) -> bool:
    """Is the right content in its place, or is it now? A wrong one is removed."""
    for path in (place, copied):
        if path.exists():
            if digest_of(path) == sha256:
                place.parent.mkdir(parents=True, exist_ok=True)
                path.replace(place)
                return True
            path.unlink()
    return False
