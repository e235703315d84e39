"""The vault of file contents: GridFS in a database of its own, addressed by our own unguessable ids.

Invariant: a blob is whole or absent. Whoever stores one keeps a row that refers to it; without a row nobody is served.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pymongo
from bson import ObjectId
from gridfs import AsyncGridFSBucket
from gridfs.errors import FileExists, NoFile
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from schema.values import Millis
from server.store.failures import translated

RawDocument = dict[str, Any]

BUCKET = "blobs"
CHUNK_BYTES = 255 * 1024
"""GridFS's own default: right for photos, and just under a power of two once the document around it is added."""
READ_DEADLINE_S = 5.0
WRITE_DEADLINE_S = 15.0
DELETE_DEADLINE_S = 10.0
SWEEP_DEADLINE_S = 60.0
MAX_SWEPT_BLOBS = 1_000


class BlobMissing(Exception):
    """There is no such blob, or no longer: it may vanish while it is read."""

    def __init__(self, blob_id: str) -> None:
        super().__init__("This file does not exist any more.")
        self.blob_id = blob_id


class BlobExists(Exception):
    """The id is taken; what is stored under it stays as it is."""

    def __init__(self, blob_id: str) -> None:
        super().__init__("There is a file with this id already.")
        self.blob_id = blob_id


class BlobVault:
    """Stores, reads and deletes contents. `database` is the whole name of the vault's own database."""

    __slots__ = ("_bucket", "_chunks", "_database", "_files")

    def __init__(self, client: AsyncMongoClient[RawDocument], database: str) -> None:
        self._database = client.get_database(
            database, write_concern=WriteConcern("majority"), read_preference=ReadPreference.PRIMARY
        )
        self._bucket = AsyncGridFSBucket(self._database, BUCKET, CHUNK_BYTES)
        self._files, self._chunks = self._database[f"{BUCKET}.files"], self._database[f"{BUCKET}.chunks"]

    def __repr__(self) -> str:
        return f"<BlobVault {self._database.name}.{BUCKET}>"

    @property
    def database_name(self) -> str:
        """The vault's own database."""
        return self._database.name

    async def put(self, blob_id: str, content: bytes | AsyncIterator[bytes], content_type: str) -> tuple[int, str]:
        """Store a content; its size and the SHA-256 in hexadecimal. What does not get to the end leaves nothing.

        Raises `BlobExists` and `StoreUnavailable`, and whatever the iterator raises.
        """
        pieces = _single(content) if isinstance(content, bytes) else content
        upload = self._bucket.open_upload_stream_with_id(blob_id, blob_id, metadata={"contentType": content_type})
        size, digest = 0, hashlib.sha256()
        try:
            async for piece in pieces:
                size += len(piece)
                digest.update(piece)
                with translated(), pymongo.timeout(WRITE_DEADLINE_S):
                    await upload.write(piece)
            with translated(), pymongo.timeout(WRITE_DEADLINE_S):
                await upload.close()
        except FileExists:
            # Not `abort`: it would remove the chunks of the blob that is there.
            raise BlobExists(blob_id) from None
        except BaseException:
            with suppress(PyMongoError), pymongo.timeout(DELETE_DEADLINE_S):
                await upload.abort()
            raise
        return size, digest.hexdigest()

    async def read(self, blob_id: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to and without `end`, a chunk at a time. Raises `BlobMissing`, `StoreUnavailable`.

        Chunks are asked for one by one: a cursor, as the driver's own stream uses it, has the server send megabytes
        ahead of a slow reader, and has to be closed by whoever stops early.
        """
        with translated(), pymongo.timeout(READ_DEADLINE_S):
            file = await self._files.find_one({"_id": blob_id}, {"length": 1, "chunkSize": 1})
        if file is None:
            raise BlobMissing(blob_id)
        chunk_bytes = int(file["chunkSize"])
        stop = int(file["length"]) if end is None else min(end, int(file["length"]))
        for number in range(start // chunk_bytes, -(-stop // chunk_bytes)):
            with translated(), pymongo.timeout(READ_DEADLINE_S):
                chunk = await self._chunks.find_one({"files_id": blob_id, "n": number}, {"_id": 0, "data": 1})
            offset = number * chunk_bytes
            if chunk is None or len(chunk["data"]) < min(stop - offset, chunk_bytes):
                raise BlobMissing(blob_id)
            yield bytes(chunk["data"][max(start - offset, 0) : stop - offset])

    async def holds(self, blob_id: str) -> bool:
        """Is the blob here, and whole? Raises `StoreUnavailable`."""
        with translated(), pymongo.timeout(READ_DEADLINE_S):
            return await self._files.find_one({"_id": blob_id}, {"_id": 1}) is not None

    async def delete(self, blob_id: str) -> None:
        """Remove a blob; one that is gone already is fine. Raises `StoreUnavailable`."""
        with translated(), suppress(NoFile), pymongo.timeout(DELETE_DEADLINE_S):
            await self._bucket.delete(blob_id)

    async def older_than(self, moment: Millis, *, after: str, limit: int) -> list[str]:
        """Ids of blobs that were stored before `moment`, in order, beginning after the id `after`."""
        stored = {"_id": {"$gt": after}, "uploadDate": {"$lt": datetime.fromtimestamp(moment / 1_000, UTC)}}
        with translated(), pymongo.timeout(READ_DEADLINE_S):
            files = self._files.find(stored, {"_id": 1}).sort("_id", 1).limit(limit)
            return [file["_id"] async for file in files]

    async def sweep_chunks(self, moment: Millis) -> int:
        """Remove chunks from before `moment` that belong to no file: a write was killed in the middle. How many blobs."""
        oldest = ObjectId.from_datetime(datetime.fromtimestamp(moment / 1_000, UTC))
        torn: list[RawDocument] = [
            {"$match": {"_id": {"$lt": oldest}, "n": 0}},
            {"$lookup": {"from": self._files.name, "localField": "files_id", "foreignField": "_id", "as": "file"}},
            {"$match": {"file": []}},
            {"$limit": MAX_SWEPT_BLOBS},
            {"$project": {"files_id": 1}},
        ]
        swept = 0
        with translated(), pymongo.timeout(SWEEP_DEADLINE_S):
            async for chunk in await self._chunks.aggregate(torn):
                await self._chunks.delete_many({"files_id": chunk["files_id"]})
                swept += 1
        return swept


async def _single(content: bytes) -> AsyncIterator[bytes]:
    yield content
