"""Generations: an original becomes a picture, or its member reads why not and has the credit back."""

from __future__ import annotations

import msgspec

from jobs.outcome import Done, Outcome, Refused
from jobs.queue import JobSpec, attempts_spent
from schema.blobs import Blob
from schema.images import Image
from schema.system import Job
from schema.values import Id, Millis
from schema.writer import Writer
from server.database import Database
from server.functions import ledger
from server.ids import capability_id
from server.pictures.photo import Photo
from server.providers.pictures import PictureMaker
from server.store.gridfs import BlobMissing, BlobVault
from server.work import GENERATE_IMAGE

PHOTO_IS_GONE = "The photo of this generation no longer exists."
REFUNDED = "Your credit has been returned."


class GenerateImage:
    """Runs `generate_image` jobs; a job's subject is the original's id.

    A generation ends in exactly one of: a result and a spent credit, or no result and, by policy, the credit back.
    """

    def __init__(
        self, database: Database, vault: BlobVault, maker: PictureMaker, *, deadline: Millis, lease: Millis
    ) -> None:
        self.spec: JobSpec = msgspec.structs.replace(GENERATE_IMAGE, deadline=deadline, lease=lease)
        self._database, self._vault, self._maker = database, vault, maker

    def __repr__(self) -> str:
        return f"<GenerateImage by {self._maker!r}>"

    async def begin(self, db: Writer, job: Job) -> None:
        """The original is being worked on."""
        image = await db.get(Image, Id[Image](job.subject))
        if image is not None:
            await db.patch(
                image,
                generation_status="processing",
                generation_attempts=attempts_spent(job, self.spec),
                generation_error=None,
            )

    async def run(self, job: Job) -> Outcome:
        """Read the photo, have it drawn, store the picture; nothing refers to it until the job is settled."""
        db = await self._database.newest()
        image = await db.get(Image, Id[Image](job.subject))
        if image is None:
            return Refused(PHOTO_IS_GONE)
        try:
            photo = b"".join([piece async for piece in self._vault.read(image.body)])
        except BlobMissing:
            return Refused(PHOTO_IS_GONE)
        made = await self._maker.transform(photo)
        if not isinstance(made, Photo):
            return made
        blob_id = Id[Blob](capability_id())
        size, sha256 = await self._vault.put(blob_id, made.content, made.content_type)
        blob = Blob(
            id=blob_id,
            kind="result",
            owner=image.user_id or "",
            content_type=made.content_type,
            size=size,
            sha256=sha256,
            width=made.width,
            height=made.height,
            placeholder=made.placeholder,
            uploaded_size=size,
            uploaded_content_type=made.content_type,
            created_at=image.created_at,
        )

        async def commit(db: Writer) -> None:
            await _complete(db, Id[Image](job.subject), blob)

        return Done(commit)

    async def retry(self, db: Writer, job: Job, reason: str) -> None:
        """The original waits for its next attempt."""
        image = await db.get(Image, Id[Image](job.subject))
        if image is not None:
            await db.patch(image, generation_status="pending")

    async def give_up(self, db: Writer, job: Job, reason: str) -> None:
        """The original has failed; its credit goes back if that is the policy, in this same transaction."""
        image = await db.get(Image, Id[Image](job.subject))
        if image is None:
            return
        refunded = (await ledger.billing_settings(db)).refund_on_failure and await ledger.return_for(db, image)
        sentence = f"{reason} {REFUNDED}" if refunded else reason
        await db.patch(image, generation_status="failed", generation_error=sentence)


async def _complete(db: Writer, original_id: Id[Image], blob: Blob) -> None:
    """Write the result beside its original, and complete it."""
    original = await db.need(Image, original_id)
    await db.insert(msgspec.structs.replace(blob, created_at=db.now, claimed_at=db.now))
    await db.insert(
        Image(
            body=blob.id,
            user_id=original.user_id,
            created_at=db.now,
            is_generated=True,
            original_image_id=original.id,
            content_type=blob.content_type,
            original_width=blob.width,
            original_height=blob.height,
            original_size_bytes=blob.size,
            placeholder_blur_data_url=blob.placeholder,
            generation_status="completed",
        )
    )
    await db.patch(original, generation_status="completed")
