"""What `python -m server export` and `import` do: find out whether it can be begun, do it, and say what came of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient

from schema.errors import StoreUnavailable
from schema.values import Millis
from server.ids import request_id
from server.store.gridfs import BlobVault
from server.store.mongo import MongoStore
from server.transfer.errors import TransferRefused
from server.transfer.export import BLOBS_COPIED, BLOBS_FOLDER, DOCUMENTS, Export
from server.transfer.files import claim_folder
from server.transfer.manifest import FORMAT, JOURNAL, MANIFEST, Journal, Manifest, read_journal
from server.transfer.restore import Import

Client = AsyncMongoClient[dict[str, Any]]
Tell = Callable[[str], None]
MAX_NAMED = 20


async def export_to(
    folder: Path, client: Client, store: MongoStore, vault: BlobVault, *, clock: Callable[[], Millis], tell: Tell
) -> int:
    """Export, or go on with it; 1 where content was lost already. Raises `TransferRefused`."""
    with _alone_in(folder, create=True), _said_in_sentences():
        journal = _begun(folder, store.database.name)
        manifest = await Export(client, store, vault, folder, journal, clock=clock, tell=tell).run()
    tell(f"exported {_sum_of(manifest)} to {folder}")
    _name(manifest.missing, "was deleted while the export ran", tell)
    _name(manifest.lost, "has a row but no content any more: it is lost", tell)
    return 1 if manifest.lost else 0


async def import_from(
    folder: Path, client: Client, store: MongoStore, vault: BlobVault, *, clock: Callable[[], Millis], tell: Tell
) -> int:
    """Import, or go on with it; 1 where a balance is not the sum of its movements. Raises `TransferRefused`."""
    with _alone_in(folder, create=False), _said_in_sentences():
        manifest, unproven = await Import(client, store, vault, folder, clock=clock, tell=tell).run()
    tell(f"imported {_sum_of(manifest)} into {store.database.name}")
    _name([*manifest.missing, *manifest.lost], "has a row and no content in this export", tell)
    for each in unproven:
        tell(f"ledger: {each.user_id} has {each.credits} credits, and their movements sum to {each.ledger}")
    if not unproven:
        tell("ledger: every balance is the sum of its movements")
    return 1 if unproven else 0


def _begun(folder: Path, database: str) -> Journal:
    """Where an export into this folder goes on, or its beginning."""
    if (folder / MANIFEST).exists():
        raise TransferRefused(f"{folder} holds a finished export. Name an empty folder.")
    journal = read_journal(folder)
    if journal is None:
        if any(each.name != f"{JOURNAL}.part" for each in folder.iterdir()):
            raise TransferRefused(f"{folder} is not empty, and what is there is no export. Name an empty folder.")
        return Journal(export_id=request_id(), database=database)
    if (journal.format, journal.database) != (FORMAT, database):
        raise TransferRefused(f"{folder} holds an unfinished export of {journal.database}. Name an empty folder.")
    for name in (DOCUMENTS, BLOBS_FOLDER, BLOBS_COPIED):
        for draft in (folder / name).rglob("*.part"):
            draft.unlink()
    return journal


@contextmanager
def _alone_in(folder: Path, *, create: bool) -> Iterator[None]:
    try:
        if create:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        claimed = claim_folder(folder)
    except BlockingIOError:
        raise TransferRefused(f"Another export or import works on {folder} now.") from None
    except OSError as error:
        raise TransferRefused(f"{folder} cannot be used: {error.strerror}.") from None
    try:
        yield
    finally:
        os.close(claimed)


@contextmanager
def _said_in_sentences() -> Iterator[None]:
    try:
        yield
    except* StoreUnavailable:
        raise TransferRefused("The database does not answer. What was done is kept: run this again.") from None
    except* OSError as group:
        reasons = sorted({f"{each.filename or 'the folder'}: {each.strerror}" for each in _leaves(group)})
        raise TransferRefused(f"{'; '.join(reasons)}. What was done is kept: mend it and run this again.") from None


def _leaves(group: BaseExceptionGroup[OSError]) -> Iterator[OSError]:
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _leaves(each)
        else:
            yield each


def _name(blob_ids: list[str], what: str, tell: Tell) -> None:
    for blob_id in blob_ids[:MAX_NAMED]:
        tell(f"the file {blob_id} {what}")
    if len(blob_ids) > MAX_NAMED:
        tell(f"and {len(blob_ids) - MAX_NAMED} more; {MANIFEST} names them all")


def _sum_of(manifest: Manifest) -> str:
    moment = datetime.fromtimestamp(manifest.as_of, UTC).isoformat()
    documents = sum(manifest.counts.values())
    return f"{documents} documents and {manifest.blobs} files ({manifest.blob_bytes} bytes) as of {moment}"
