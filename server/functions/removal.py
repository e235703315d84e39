"""Removing an image: its document and its file's row go at once, the file's bytes by a job, work in progress is undone."""

from __future__ import annotations

from jobs.queue import WAITING, cancel, of_subject
from schema.blobs import Blob
from schema.images import Image
from schema.writer import Writer
from server.context import Member, Mutation
from server.functions import ledger
from server.work import ERASE_FILE


async def remove_image(ctx: Mutation[Member], image: Image) -> None:
    """Delete the image; from this commit on its file answers 404."""
    await _cancel_work(ctx.db, image)
    blob = await ctx.db.get(Blob, image.body)
    if blob is not None:
        await ctx.db.delete(blob)
        await ctx.enqueue(ERASE_FILE, blob.id)
    await ctx.db.delete(image)


async def _cancel_work(db: Writer, image: Image) -> None:
    for job in await of_subject(db, image.id):
        if job.state in WAITING:
            await cancel(db, job.id, db.now)
            await ledger.return_for(db, image)
