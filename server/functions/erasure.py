"""Leaving: a member's images, files and personal data go; what the books need stays, under an id that means nothing more.

Invariant: each step is a transaction of its own that removes what it finds, so a job that was interrupted goes on where it was;
`credits` and the ledger agree after each of them.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from jobs.queue import enqueue
from schema.billing import CheckoutSession
from schema.blobs import Blob
from schema.images import Image
from schema.system import Job
from schema.users import AdminRole
from schema.writer import Writer
from server.database import Database
from server.functions import ledger
from server.functions.removal import remove_image
from server.work import ERASE_FILE

BATCH = 50

log = logging.getLogger("anime.members")


class Eraser:
    """Erases members."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __repr__(self) -> str:
        return "<Eraser>"

    async def erase(self, job: Job) -> None:
        """Erase the member that an `erase_member` job names. Payments and the ledger stay: the law and the books need them."""
        images, is_closed = 0, False
        while not is_closed:
            images += await self._until_none(partial(_some_images, subject=job.subject))
            await self._until_none(partial(_some_checkouts, subject=job.subject))
            await self._until_none(partial(_some_unused_uploads, subject=job.subject))
            is_closed, _ = await self._database.transact(partial(_close_account, subject=job.subject))
        log.info("a member left, with %d images", images, extra={"action": "member.erased", "job": job.id})

    async def _until_none(self, step: Callable[[Writer], Awaitable[int]]) -> int:
        total = 0
        while count := (await self._database.transact(step))[0]:
            total += count
        return total


async def _some_images(db: Writer, subject: str) -> int:
    images = await db.take(Image.by_user.eq(user_id=subject), BATCH)
    for image in images:
        await remove_image(db, image)
    return len(images)


async def _some_checkouts(db: Writer, subject: str) -> int:
    sessions = await db.take(CheckoutSession.by_user_id.eq(user_id=subject), BATCH)
    for session in sessions:
        await db.delete(session)
    return len(sessions)


async def _some_unused_uploads(db: Writer, subject: str) -> int:
    blobs = await db.take(Blob.by_owner.eq(owner=subject, claimed_at=None), BATCH)
    for blob in blobs:
        await db.delete(blob)
        await enqueue(db, ERASE_FILE, blob.id, owner=subject)
    return len(blobs)


async def _close_account(db: Writer, subject: str) -> bool:
    """End the account, unless a photo has come meanwhile: its price is written to the row that goes here, so one is first."""
    if await db.exists(Image.by_user.eq(user_id=subject)):
        return False
    user = await ledger.find_user(db, subject)
    if user is not None:
        await ledger.close(db, user)
    role = await db.one(AdminRole.by_user_id.eq(user_id=subject))
    if role is not None:
        await db.delete(role)
    return True
