"""The routes of stored files: single-use uploads, and downloads that are ranged and cacheable (sync-protocol 11).

Invariant: what is served was decoded and encoded by us; nothing that a client claims about a file is believed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.routing import Route

from schema.values import Millis
from server.auth.grants import Grants
from server.database import Database
from server.limits import Bounds, Limits
from server.pictures.lab import PhotoLab
from server.store.gridfs import BlobVault
from server.web.downloads import Downloads
from server.web.slots import Slots
from server.web.uploads import Uploads, prepare

UPLOAD_PATH = "/api/storage/upload"
BLOB_PATH = "/api/storage/{storage_id}"


def blob_routes(
    *,
    database: Database,
    vault: BlobVault,
    lab: PhotoLab,
    grants: Grants,
    clock: Callable[[], Millis],
    folder: Path,
    max_upload_bytes: int,
    slots: Slots | None = None,
    limits: Limits | None = None,
    bounds: Bounds | None = None,
) -> list[Route]:
    """The routes. `folder` holds uploads while they arrive; it is made if need be and cleared of old leftovers."""
    prepare(folder, clock())
    uploads = Uploads(
        database=database,
        vault=vault,
        lab=lab,
        grants=grants,
        clock=clock,
        folder=folder,
        max_bytes=max_upload_bytes,
        slots=slots or Slots(),
        limits=limits or Limits(clock),
        bounds=bounds or Bounds(),
    )
    downloads = Downloads(database, vault, grants, clock)
    return [
        Route(UPLOAD_PATH, uploads.receive, methods=["POST"]),
        Route(BLOB_PATH, downloads.serve, methods=["GET"]),
    ]
