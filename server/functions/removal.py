"""Removing an image: its document and its file's row go at once, the file's bytes by a job, work in progress is undone."""

from __future__ import annotations

from jobs.queue import WAITING, cancel, enqueue, of_subject
from schema.blobs import Blob
from schema.images import Image
from schema.writer import Writer
from server.functions import ledger
from server.work import ERASE_FILE


async def remove_image(db: Writer, image: Image) -> None:
    """Delete the image; from this commit on its file answers 404."""
    await _cancel_work(db, image)
    blob = await db.get(Blob, image.body)
    if blob is not None:
        await db.delete(blob)
        await enqueue(db, ERASE_FILE, blob.id, owner=blob.owner)
    await db.delete(image)


async def _cancel_work(db: Writer, image: Image) -> None:
    for job in await of_subject(db, image.id):
        if job.state in WAITING:
            await cancel(db, job.id, db.now)
            await ledger.return_for(db, image)
