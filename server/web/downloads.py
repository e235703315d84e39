"""Files as they are served: whole, in part, or not at all when the client has them already.

Invariant: a file is served as long as its row exists, under the type that we measured, and in a way in which no browser
runs anything in it. Holding its id is the permission to read it.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from schema.blobs import Blob
from schema.errors import StoreUnavailable
from schema.values import Id, Millis
from server.auth.grants import Grants
from server.database import Database
from server.ids import ALPHABET, CAPABILITY_BITS
from server.store.gridfs import BlobMissing, BlobVault
from server.store.mongo import MongoReads
from server.web.ranges import Span, Unsatisfiable, has_it, may_be_partial, requested
from server.web.refusals import RefusalResponse, Refused, store_away

SEND_DEADLINE_S = 30.0
CACHE_S = 3_600
SAFETY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}

_BLOB_ID = re.compile(f"[{ALPHABET}]{{{CAPABILITY_BITS // 5}}}", re.ASCII)

log = logging.getLogger("anime.blobs")


class Downloads:
    """The endpoint of stored files."""

    __slots__ = ("_clock", "_grants", "_rows", "_vault")

    def __init__(self, database: Database, vault: BlobVault, grants: Grants, clock: Callable[[], Millis]) -> None:
        # One round trip, where a snapshot needs two; a deletion that was acknowledged is seen.
        self._rows = MongoReads(database.store.database, concern={"level": "majority"}, session=None)
        self._vault, self._grants, self._clock = vault, grants, clock

    def __repr__(self) -> str:
        return f"<Downloads from {self._vault!r}>"

    async def serve(self, request: Request) -> Response:
        """`GET` and `HEAD /api/storage/{storage_id}`"""
        try:
            return await self._answer(request)
        except Unsatisfiable as error:
            headers = {"Content-Range": f"bytes */{error.size}", "Accept-Ranges": "bytes"}
            return RefusalResponse(Refused(416, "RangeNotSatisfiable", str(error), headers))
        except BlobMissing as error:
            return RefusalResponse(Refused(404, "FileNotFound", str(error)))
        except StoreUnavailable:
            return RefusalResponse(store_away())
        except Refused as refused:
            return RefusalResponse(refused)

    async def _answer(self, request: Request) -> Response:
        blob = await self._find(request.path_params["storage_id"], request.query_params.get("key", ""))
        etag = f'"{blob.sha256}"'
        cached = {"ETag": etag, "Cache-Control": f"private, max-age={CACHE_S}", **SAFETY}
        if has_it(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=cached)
        span = None
        if request.method == "GET" and may_be_partial(request.headers.get("if-range"), etag):
            span = requested(request.headers.get("range"), blob.size)
        headers = {**cached, **_described(blob, span)}
        status = 200 if span is None else 206
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        whole = span or Span(0, blob.size)
        pieces = self._vault.read(blob.id, whole.start, whole.end)
        # The first piece before the status: a content that is not there is a 404, not a broken 200.
        return Download(await anext(pieces, b""), pieces, status, headers)

    async def _find(self, storage_id: str, key: str) -> Blob:
        if _BLOB_ID.fullmatch(storage_id) is None:
            raise Refused(400, "InvalidStoragePath", "This is not the address of a file.")
        blob_id: Id[Blob] = Id(storage_id)
        blob = await self._rows.get(Blob, blob_id)
        if blob is None:
            raise BlobMissing(storage_id)
        is_public = blob.public_until is None or self._clock() < blob.public_until
        if not is_public and not self._grants.opens_file(blob.id, key):
            raise BlobMissing(storage_id)
        return blob


class Download(Response):
    """Streams a content at the speed of its reader. When the content vanishes or the reader stalls it ends early."""

    def __init__(self, first: bytes, rest: AsyncIterator[bytes], status: int, headers: dict[str, str]) -> None:
        super().__init__(status_code=status, headers=headers)
        self._first, self._rest = first, rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            piece = self._first
            while piece and not await request.is_disconnected():
                async with asyncio.timeout(SEND_DEADLINE_S):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await anext(self._rest, b"")
        except (BlobMissing, StoreUnavailable, TimeoutError) as error:
            # Left incomplete on purpose: the server closes the connection and the reader sees that bytes are missing.
            log.info("a download ended early: %s", type(error).__name__, extra={"action": "blobs.cut"})
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _described(blob: Blob, span: Span | None) -> dict[str, str]:
    """What the response says about the content."""
    name = f"{blob.id}.{EXTENSIONS.get(blob.content_type, 'bin')}"
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Type": blob.content_type,
        "Content-Length": str(blob.size if span is None else len(span)),
        "Content-Disposition": f'inline; filename="{name}"',
    }
    if span is not None:
        return {**headers, "Content-Range": span.content_range(blob.size)}
    return {**headers, "Digest": "sha-256=" + base64.b64encode(bytes.fromhex(blob.sha256)).decode("ascii")}
