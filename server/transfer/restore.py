"""The import: an export's folder back into an empty database.

Invariants: nothing is written before every file was found to be what the export wrote; from the first write to the last the
database carries a marker that keeps servers from starting on it; every step may be done twice, so it may be killed anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pymongo
from pymongo import AsyncMongoClient, ReplaceOne
from pymongo.errors import BulkWriteError

from schema.values import Millis
from server.migrate import bring_up
from server.store.audit import Imbalance, imbalances
from server.store.failures import translated
from server.store.gridfs import BlobExists, BlobVault
from server.store.migrating import Migrations
from server.store.mongo import READ_DEADLINE_S, MongoStore
from server.store.pulse import SILENT_FOR, living
from server.transfer.choice import BLOBS, as_restored, exported
from server.transfer.errors import Damaged, TransferRefused
from server.transfer.export import AT_ONCE, BLOBS_FOLDER, TOLD_EVERY
from server.transfer.files import blob_place, digest_of
from server.transfer.lines import read_batches
from server.transfer.manifest import Manifest, read_manifest
from server.transfer.marker import Marker

RawDocument = dict[str, Any]
Tell = Callable[[str], None]

WRITE_DEADLINE_S: Final = 60.0
PIECE_BYTES: Final = 1 << 20


class Import:
    """One import from one folder into one database."""

    def __init__(
        self,
        client: AsyncMongoClient[RawDocument],
        store: MongoStore,
        vault: BlobVault,
        folder: Path,
        *,
        clock: Callable[[], Millis],
        tell: Tell,
    ) -> None:
        self._store, self._vault, self._folder = store, vault, folder
        self._marker, self._migrations = Marker(client, vault.database_name), Migrations(client, vault.database_name)
        self._clock, self._tell = clock, tell
        self._absent: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<Import from {self._folder}>"

    async def run(self) -> tuple[Manifest, list[Imbalance]]:
        """Check, write, and hold the ledger against the balances. Raises `TransferRefused`, `StoreUnavailable`, `OSError`."""
        manifest = await asyncio.to_thread(read_manifest, self._folder)
        self._absent = frozenset((*manifest.missing, *manifest.lost))
        await self._check_nobody_lives()
        found = await self._marker.read()
        if found is None:
            await self._check_empty()
        elif found[0] != manifest.export_id:
            raise TransferRefused(
                "The import of another export into this database was begun. Finish that one, or drop both databases first."
            )
        await self._check_files(manifest)
        done = [] if found is None else found[1]
        if found is None:
            await self._marker.set(manifest.export_id)
        await bring_up(self._store, self._migrations)
        await self._restore_blobs(manifest, is_first=found is None)
        for part in manifest.parts:
            if part.name not in done:
                batches = read_batches(self._folder, part)
                while rows := await asyncio.to_thread(next, batches, None):
                    await self._write(part.table, rows)
                await self._marker.add(part.name)
                self._tell(f"{part.name}: {part.documents} documents")
        unproven = await imbalances(self._store, await self._store.newest())
        await self._marker.remove()
        return manifest, unproven

    # --- before the first write ----------------------------------------------------------------------------------------

    async def _check_empty(self) -> None:
        for table in exported():
            with translated(), pymongo.timeout(READ_DEADLINE_S):
                row = await self._store.database[table].find_one({}, {"_id": 1})
            if row is not None:
                raise TransferRefused(
                    f"The database {self._store.database.name} is not empty: {table} has documents. "
                    "An import goes only into an empty one; name another in MONGODB_URI, or another DATA_DIR."
                )

    async def _check_nobody_lives(self) -> None:
        if await living(self._store, self._clock()):
            raise TransferRefused(
                "A server runs on this database, or did until a moment ago. "
                f"Stop it, wait {SILENT_FOR / 1_000:.0f} seconds, and run this again."
            )

    async def _check_files(self, manifest: Manifest) -> None:
        for part in manifest.parts:
            await asyncio.to_thread(_check, self._folder / part.name, part.name, part.sha256)
        count = 0
        async for row in self._blob_rows(manifest):
            name = f"{BLOBS_FOLDER}/{_place(row['_id'])}"
            await asyncio.to_thread(_check, self._folder / name, name, row["sha256"])
            count += 1
        self._tell(f"{len(manifest.parts)} files of documents and {count} files of pictures are whole")

    # --- writing -------------------------------------------------------------------------------------------------------

    async def _blob_rows(self, manifest: Manifest) -> AsyncIterator[RawDocument]:
        for part in manifest.parts:
            if part.table == BLOBS:
                batches = read_batches(self._folder, part)
                while rows := await asyncio.to_thread(next, batches, None):
                    for row in rows:
                        if row["_id"] not in self._absent:
                            yield row

    async def _restore_blobs(self, manifest: Manifest, *, is_first: bool) -> None:
        count = 0
        waiting: list[RawDocument] = []
        async for row in self._blob_rows(manifest):
            waiting.append(row)
            if len(waiting) == AT_ONCE:
                await self._restore_some(waiting, is_first=is_first)
                count, waiting = count + len(waiting), []
                if count % TOLD_EVERY == 0:
                    self._tell(f"{count} files of pictures are in")
        await self._restore_some(waiting, is_first=is_first)
        self._tell(f"{count + len(waiting)} files of pictures are in")

    async def _restore_some(self, rows: list[RawDocument], *, is_first: bool) -> None:
        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(self._restore_blob(row, is_first=is_first))

    async def _restore_blob(self, row: RawDocument, *, is_first: bool) -> None:
        blob_id = row["_id"]
        if not is_first:
            if await self._vault.holds(blob_id):
                return
            await self._vault.delete(blob_id)  # pieces of one whose import was killed
        path = self._folder / BLOBS_FOLDER / blob_place(blob_id)
        try:
            _, sha256 = await self._vault.put(blob_id, _pieces(path), row["contentType"])
        except BlobExists:
            raise TransferRefused(
                f"The database {self._vault.database_name} has a file {blob_id} already. An import goes only into an empty one."
            ) from None
        if sha256 != row["sha256"]:
            await self._vault.delete(blob_id)
            raise Damaged(f"{BLOBS_FOLDER}/{_place(blob_id)}", "it changed while it was imported")

    async def _write(self, table: str, rows: list[RawDocument]) -> None:
        now = self._clock()
        restored = [as_restored(table, row, now) for row in rows]
        # Replacing is the same however often it is done: a killed import may have written some of them.
        changes = [ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in restored]
        try:
            with translated(), pymongo.timeout(WRITE_DEADLINE_S):
                await self._store.database[table].bulk_write(changes, ordered=False)
        except BulkWriteError:
            raise TransferRefused(
                f"The database refuses documents of {table}: this server's rules are not those of the one that wrote the export. "
                "Import with the version that exported, then upgrade."
            ) from None


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece


def _place(blob_id: str) -> str:
    try:
        return str(blob_place(blob_id))
    except ValueError:
        raise Damaged(BLOBS, "it names a file that cannot be one") from None


def _check(path: Path, name: str, sha256: str) -> None:
    try:
        found = digest_of(path)
    except FileNotFoundError:
        raise Damaged(name, "it is not there") from None
    if found != sha256:
        raise Damaged(name, "its digest is another one")
