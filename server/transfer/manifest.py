"""What a folder says of itself: the manifest of a finished export, and the journal of one that is still being written.

Invariant: a manifest is there only when everything that it names is there, whole and on the disk.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from schema.values import ZERO, Millis, Timestamp
from server.transfer.errors import Damaged, TransferRefused
from server.transfer.files import write_whole

FORMAT: Final = 1
MANIFEST, MANIFEST_SUM, JOURNAL = "manifest.json", "manifest.json.sha256", "journal.json"


class Part(msgspec.Struct, frozen=True, rename="camel"):
    """One file of a table's documents, in the order of their ids. `sha256` is of the file as it lies there."""

    name: str
    table: str
    documents: int
    size: int
    sha256: str
    last_id: str


class Manifest(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A finished export. Digests of blobs are in the rows of `_storage`; these are in files whose digest is here.

    `cluster_time` is the moment that all documents are of, `as_of` the same as seconds since 1970. Of blobs whose row is in the
    export and whose content was not to be had, `missing` were deleted while it ran, and `lost` have a row still.
    """

    format: int = FORMAT
    export_id: str
    database: str
    mongodb: str
    cluster_time: Timestamp
    as_of: int
    finished_at: Millis
    parts: list[Part]
    counts: dict[str, int]
    blobs: int
    blob_bytes: int
    missing: list[str]
    lost: list[str]
    left_out: dict[str, str]


class Journal(msgspec.Struct, kw_only=True, rename="camel"):
    """How far an export has come. `cluster_time` is 0 until the documents are begun: until then blobs are copied."""

    format: int = FORMAT
    export_id: str
    database: str
    cluster_time: Timestamp = ZERO
    parts: list[Part] = []
    tables_done: list[str] = []


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Finish an export. The digest comes first, so that a manifest without one is never whole."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    write_whole(folder / MANIFEST_SUM, f"{hashlib.sha256(text).hexdigest()}  {MANIFEST}\n".encode())
    write_whole(folder / MANIFEST, text)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a finished export. Raises `TransferRefused` or `Damaged`."""
    try:
        text = (folder / MANIFEST).read_bytes()
        told = (folder / MANIFEST_SUM).read_text().split(" ")[0]
    except FileNotFoundError:
        half = " It was not finished: run python -m server export on it again." if (folder / JOURNAL).exists() else ""
        raise TransferRefused(
            f"{folder} holds no finished export: there is no {MANIFEST} with its digest.{half}"
        ) from None
    if hashlib.sha256(text).hexdigest() != told:
        raise Damaged(MANIFEST, f"its digest is not the one in {MANIFEST_SUM}")
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.MsgspecError as error:
        raise Damaged(MANIFEST, str(error)) from None
    if manifest.format != FORMAT:
        raise TransferRefused(
            f"{folder} has format {manifest.format}; this server reads {FORMAT}. Take the server that wrote it."
        )
    return manifest


def read_journal(folder: Path) -> Journal | None:
    """How far an interrupted export has come; None where there was none."""
    try:
        return msgspec.json.decode((folder / JOURNAL).read_bytes(), type=Journal)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError:
        raise Damaged(JOURNAL, "it cannot be read") from None


def write_journal(folder: Path, journal: Journal) -> None:
    """Remember how far it has come."""
    write_whole(folder / JOURNAL, msgspec.json.encode(journal))
