"""Single-use uploads: a grant becomes one normalised photo in the vault and one row that makes it exist.

Invariant: content first, row last, so a row never refers to nothing; a grant has at most one row, by a unique index.
The uploaded bytes themselves are never stored.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from schema.blobs import Blob
from schema.errors import NotUnique, StoreUnavailable
from schema.values import Id, Millis
from server.auth.errors import GrantRefused
from server.auth.grants import Grants, UploadGrant
from server.database import Database
from server.errors import RateLimited
from server.ids import capability_id
from server.limits import Bounds, Limits, per_minute
from server.pictures.errors import BadPhoto, LabBusy
from server.pictures.lab import PhotoLab
from server.pictures.photo import Photo
from server.store.gridfs import BlobVault
from server.web.addresses import address_of
from server.web.incoming import Body, keep, not_usable, too_large
from server.web.refusals import RefusalResponse, Refused, busy, limited, store_away
from server.web.slots import Slots

PART_SUFFIX = ".part"
STALE_PART_MS = 3_600_000.0

log = logging.getLogger("anime.blobs")


class Uploads:
    """The upload endpoint. `folder` is where uploads are written while they arrive."""

    __slots__ = (
        "_address_rate", "_clock", "_database", "_folder", "_grants", "_lab", "_limits", "_max_bytes", "_member_rate",
        "_slots", "_vault",
    )  # fmt: skip

    def __init__(
        self,
        *,
        database: Database,
        vault: BlobVault,
        lab: PhotoLab,
        grants: Grants,
        clock: Callable[[], Millis],
        folder: Path,
        max_bytes: int,
        slots: Slots,
        limits: Limits,
        bounds: Bounds,
    ) -> None:
        self._database, self._vault, self._lab, self._grants = database, vault, lab, grants
        self._clock, self._folder, self._max_bytes, self._slots = clock, folder, max_bytes, slots
        self._limits = limits
        self._member_rate = per_minute(bounds.uploads_per_minute_per_member)
        self._address_rate = per_minute(bounds.uploads_per_minute_per_address)

    def __repr__(self) -> str:
        return f"<Uploads of at most {self._max_bytes} bytes into {self._vault!r}>"

    async def receive(self, request: Request) -> Response:
        """`POST /api/storage/upload?token=...`"""
        body = Body(request.receive, self._max_bytes)
        try:
            blob = await self._take(request, body)
        except ClientDisconnect:
            return Response(status_code=400)
        except StoreUnavailable:
            refused = store_away()
        except RateLimited as error:
            refused = limited(error)
        except Refused as error:
            refused = error
        else:
            return JSONResponse({"storageId": blob.id})
        return RefusalResponse(refused, unread=not body.is_whole)

    async def _take(self, request: Request, body: Body) -> Blob:
        await self._limits.spend("uploads from an address", address_of(request), self._address_rate)
        grant = self._open(request.query_params.get("token", ""))
        await self._limits.spend("uploads", grant.subject, self._member_rate)
        await self._check_unused(grant)
        if _declared_bytes(request) > self._max_bytes:
            raise too_large(self._max_bytes)
        async with self._slots.one(grant.subject):
            photo = await self._inspect(request, body)
            return await self._store(grant, photo, body.size)

    def _open(self, token: str) -> UploadGrant:
        try:
            return self._grants.open_upload(token, self._clock())
        except GrantRefused as error:
            code = "StorageTokenExpired" if error.fault == "expired" else "InvalidStorageToken"
            raise Refused(401, code, str(error)) from None

    async def _check_unused(self, grant: UploadGrant) -> None:
        reader = await self._database.newest()
        if await reader.exists(Blob.by_grant.eq(grant=grant.nonce)):
            raise _used()

    async def _inspect(self, request: Request, body: Body) -> Photo:
        """Receive the body and have the lab make the photo that we keep; the upload itself is gone afterwards."""
        with tempfile.NamedTemporaryFile(dir=self._folder, suffix=PART_SUFFIX) as file:
            await keep(body, file, request.headers.get("digest"))
            try:
                return await self._lab.inspect(Path(file.name))
            except BadPhoto as error:
                raise not_usable(error.reason_sentence) from None
            except LabBusy as error:
                raise busy(str(error)) from None

    async def _store(self, grant: UploadGrant, photo: Photo, uploaded_size: int) -> Blob:
        blob_id: Id[Blob] = Id(capability_id())
        size, sha256 = await self._vault.put(blob_id, photo.content, photo.content_type)
        blob = Blob(
            id=blob_id,
            kind="upload",
            owner=grant.subject,
            content_type=photo.content_type,
            size=size,
            sha256=sha256,
            width=photo.width,
            height=photo.height,
            placeholder=photo.placeholder,
            uploaded_size=uploaded_size,
            uploaded_content_type=photo.source_content_type,
            created_at=self._clock(),
            grant=grant.nonce,
        )
        try:
            stored, _ = await self._database.transact(lambda writer: writer.insert(blob))
        except StoreUnavailable:
            # The row may have been committed; a content without a row can be swept, a row without content is broken.
            log.warning("upload %s may be stored without a row", blob_id, extra={"action": "blobs.orphan"})
            raise
        except Exception as error:
            await self._forget(blob_id)
            if isinstance(error, NotUnique):
                raise _used() from None
            raise
        return stored

    async def _forget(self, blob_id: str) -> None:
        try:
            await self._vault.delete(blob_id)
        except StoreUnavailable:
            log.warning("upload %s is stored without a row", blob_id, extra={"action": "blobs.orphan"})


def prepare(folder: Path, now: Millis) -> None:
    """Make the folder for arriving uploads, and clear it of what a killed process left there."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in folder.glob(f"*{PART_SUFFIX}"):
        try:
            if part.stat().st_mtime * 1_000 < now - STALE_PART_MS:
                part.unlink()
        except FileNotFoundError:
            continue


def _declared_bytes(request: Request) -> int:
    """What the client says it will send; only what arrives counts, this merely saves it the trouble."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _used() -> Refused:
    return Refused(409, "StorageTokenUsed", "This upload link was already used. Please start the upload again.")
