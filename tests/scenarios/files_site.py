"""A small site that has nothing but the file routes: real mongod, real uvicorn, real photo lab, real sockets."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from schema.blobs import Blob
from schema.document import table_of
from schema.values import Id
from server.auth.grants import Grants, SignedCursors
from server.database import Database
from server.ids import capability_id
from server.pictures.lab import PhotoLab
from server.store.gridfs import BlobVault
from server.store.mongo import MongoStore
from server.store.setup import set_up
from server.web.blobs import blob_routes
from server.web.slots import Slots
from tests.support.http import http_client

MAX_UPLOAD_BYTES = 20_971_520
ANSWER_DEADLINE_S = 30.0
KEY = b"k" * 32


class Site:
    """The site as a test sees it: its address, what it stores, and what its requests are doing."""

    def __init__(self, database: Database, vault: BlobVault, folder: Path, http: httpx.AsyncClient, port: int) -> None:
        self.database, self.vault, self.folder, self.http, self.port = database, vault, folder, http, port
        self.lab = PhotoLab()
        self.grants = Grants(KEY)
        self._contents = database.store.client[vault_name(database.store)]
        self._nonces = itertools.count()
        self._under_way = 0
        self.idle = asyncio.Event()
        self.begin_anew()

    def begin_anew(self) -> None:
        """It is the first moment again, and nothing has arrived yet."""
        self.now = 1_800_000_000_000.0
        self.arrived = asyncio.Event()

    @contextmanager
    def request(self) -> Iterator[None]:
        """One request is under way; `idle` is set when none is."""
        self._under_way += 1
        self.idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self.idle.set()

    async def clear(self) -> None:
        """Forget every file."""
        self.begin_anew()
        for collection in self._collections():
            await collection.delete_many({})

    def app(self, slots: Slots | None) -> Starlette:
        """The file routes as an application."""
        routes = blob_routes(
            database=self.database,
            vault=self.vault,
            lab=self.lab,
            grants=self.grants,
            clock=lambda: self.now,
            folder=self.folder,
            max_upload_bytes=MAX_UPLOAD_BYTES,
            slots=slots,
        )
        return Starlette(routes=routes)

    def upload_path(self, subject: str = "ana") -> str:
        """Where one photo may be uploaded to."""
        token = self.grants.upload_token(subject, self.now, f"nonce{next(self._nonces)}")
        return f"/api/storage/upload?token={token}"

    async def upload(self, content: bytes, path: str | None = None, **headers: str) -> httpx.Response:
        """Send a file as a browser does."""
        return await self.http.post(path or self.upload_path(), content=content, headers=headers)

    async def stored(self, content: bytes) -> str:
        """Send a file that must be taken; where it is served."""
        answer = await self.upload(content)
        assert answer.status_code == 200, answer.text
        return f"/api/storage/{answer.json()['storageId']}"

    async def keep(self, content: bytes) -> Blob:
        """Store a content of any size, as a finished result is stored."""
        blob_id: Id[Blob] = Id(capability_id())
        size, sha256 = await self.vault.put(blob_id, content, "image/png")
        blob = Blob(
            id=blob_id,
            kind="result",
            owner="ana",
            content_type="image/png",
            size=size,
            sha256=sha256,
            width=1,
            height=1,
            placeholder="",
            uploaded_size=0,
            uploaded_content_type="image/png",
            created_at=self.now,
        )
        stored, _ = await self.database.transact(lambda writer: writer.insert(blob))
        return stored

    async def row(self, path: str) -> Blob:
        """The row of what is served at this path."""
        reader = await self.database.newest()
        return await reader.need(Blob, Id(path.rpartition("/")[2]))

    async def left(self) -> tuple[int, int, int, int]:
        """How many rows, contents, chunks and temporary files there are."""
        rows, files, chunks = [await collection.count_documents({}) for collection in self._collections()]
        return rows, files, chunks, len(self.parts())

    def _collections(self) -> Sequence[AsyncCollection[dict[str, Any]]]:
        rows = self.database.store.database[table_of(Blob).name]
        return rows, self._contents["blobs.files"], self._contents["blobs.chunks"]

    def parts(self) -> Sequence[Path]:
        """The uploads that are on disk."""
        return list(self.folder.iterdir())

    @asynccontextmanager
    async def line(self, head: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A bare connection on which this request has begun."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"{head}\r\nHost: test\r\n\r\n".encode())
            await writer.drain()
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                yield reader, writer
        finally:
            writer.transport.abort()


def vault_name(store: MongoStore) -> str:
    """The database in which the contents are."""
    return f"{store.database.name}_blobs"


async def answer_on(reader: asyncio.StreamReader) -> tuple[int, Any]:
    """The status and the JSON that arrive on a bare connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length: ")[2].split("\r\n")[0])
    return int(head.split()[1]), json.loads(await reader.readexactly(length))


@asynccontextmanager
async def opened(mongod_uri: str, folder: Path, slots: Slots | None = None) -> AsyncIterator[Site]:
    """A site of its own databases, served until the end of the block."""
    name = f"files_{secrets.token_hex(4)}"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        async with (
            AsyncMongoClient[dict[str, Any]](mongod_uri) as client,
            http_client(base_url=f"http://127.0.0.1:{port}", timeout=ANSWER_DEADLINE_S) as http,
        ):
            store = MongoStore(client, name)
            await set_up(store.database)
            database = Database(store, SignedCursors(KEY), lambda: site.now)
            site = Site(database, BlobVault(client, vault_name(store)), folder, http, port)
            config = uvicorn.Config(_watched(site, slots), log_config=None, lifespan="off", ws="none")
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                yield site
            finally:
                server.should_exit = True
                await serving
                await site.lab.close()
                await client.drop_database(name)
                await client.drop_database(vault_name(store))


def _watched(site: Site, slots: Slots | None) -> Any:
    """The site's application, telling when bytes have arrived and whether requests are under way."""
    app = site.app(slots)

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def receiving() -> Message:
            message = await receive()
            if message.get("body"):
                site.arrived.set()
            return message

        with site.request():
            await app(scope, receiving, send)

    return watched
