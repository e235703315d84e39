"""Images: from an upload to a paid generation, onto the public wall, and away again."""

from __future__ import annotations

from schema.blobs import Blob
from schema.images import Image
from schema.users import User
from schema.values import Id, Millis, minutes
from server.context import Member, Mutation, is_admin
from server.errors import Conflict, Forbidden, InsufficientCredits, Missing, Moderated
from server.functions import ledger
from server.functions.removal import remove_image
from server.functions.views import Deletion
from server.limits import per_member
from server.registry import mutation
from server.visibility import restrict_file
from server.work import GENERATE_IMAGE

GENERATION_PRICE = 1


@mutation(limit=per_member(120, each=minutes(1)))
async def generate_upload_url(ctx: Mutation[Member]) -> str:
    """An address to which the caller may upload one photo, once, within the hour."""
    return ctx.urls.upload(ctx.me.subject, ctx.clock.now())


@mutation(limit=per_member(120, each=minutes(1)))
async def upload_and_schedule_generation(
    ctx: Mutation[Member],
    storage_id: Id[Blob],
    original_width: float | None = None,
    original_height: float | None = None,
    content_type: str | None = None,
    placeholder_blur_data_url: str | None = None,
    original_size_bytes: float | None = None,
) -> Id[Image]:
    """Pay one credit to have an uploaded photo drawn. What we measured in the file wins over what the client says of it."""
    user = await ledger.ensure_user(ctx.db, ctx.me.subject)
    if user.credits < GENERATION_PRICE:
        raise InsufficientCredits(needed=GENERATION_PRICE, available=user.credits)
    photo = await ctx.claim_upload(storage_id, ctx.me.subject)
    image = await ctx.db.insert(_original(photo, user, ctx.clock.now()))
    job = await ctx.enqueue(GENERATE_IMAGE, image.id, ctx.me.subject)
    await ledger.spend_on(ctx.db, user, image.id, job.id)
    return image.id


@mutation(limit=per_member(120, each=minutes(1)))
async def retry_original(ctx: Mutation[Member], image_id: Id[Image]) -> None:
    """Have a failed original drawn again: new work, paid again if the failure had been refunded."""
    image = await ctx.db.get(Image, image_id)
    if image is None:
        raise Missing("image")
    if image.user_id != ctx.me.subject:
        raise Forbidden("This image belongs to somebody else.")
    if image.is_generated or image.generation_status != "failed":
        raise Conflict("Only photos that could not be drawn can be tried again.")
    user = await ledger.ensure_user(ctx.db, ctx.me.subject)
    is_paid = await ledger.paying_job(ctx.db, image) is not None
    await ctx.db.patch(image, generation_status="pending", generation_error=None, generation_attempts=0)
    job = await ctx.enqueue(GENERATE_IMAGE, image.id, ctx.me.subject)
    if not is_paid:
        await ledger.spend_on(ctx.db, user, image.id, job.id)


@mutation()
async def update_featured_status(ctx: Mutation[Member], image_id: Id[Image], is_featured: bool) -> None:
    """Put one of the caller's results onto the public wall, or take it down."""
    image = await ctx.db.get(Image, image_id)
    if image is None:
        raise Missing("image")
    if image.user_id != ctx.me.subject:
        raise Forbidden("This image belongs to somebody else.")
    if not image.is_generated:
        raise Conflict("Only finished pictures can be featured.")
    if image.is_disabled_by_admin and is_featured:
        raise Moderated(image.disabled_by_admin_reason or "It does not follow the rules of the public gallery.")
    if image.is_featured == is_featured:
        return
    now = ctx.clock.now() if is_featured else None
    image = await ctx.db.patch(
        image,
        is_featured=is_featured,
        featured_at=now,
        feature_requested_at=now,
        feature_approved_at=None,
        feature_approved_by=None,
        feature_rejected_at=None,
        feature_rejected_by=None,
        feature_rejection_reason=None,
    )
    await restrict_file(ctx.db, image)


@mutation()
async def delete_image(ctx: Mutation[Member], image_id: Id[Image], include_generated: bool | None = None) -> Deletion:
    """Delete an image and its file, and its results if asked. Work in progress is cancelled and its credit returned."""
    image = await ctx.db.get(Image, image_id)
    if image is None:
        return Deletion(0, 0, acted_as_admin=False)
    is_owner = image.user_id == ctx.me.subject
    if not is_owner and not await is_admin(ctx.db, ctx.me.subject):
        raise Forbidden("This image belongs to somebody else.")
    results: list[Image] = []
    if include_generated and not image.is_generated:
        results = await ctx.db.take(Image.by_original.eq(original_image_id=image.id), 10)
    for each in (*results, image):
        await remove_image(ctx.db, each)
    if not is_owner:
        await ctx.audit(ctx.me.subject, "image.deleted", image.id)
    return Deletion(1 + len(results), len(results), acted_as_admin=not is_owner)


def _original(photo: Blob, user: User, now: Millis) -> Image:
    return Image(
        body=photo.id,
        user_id=user.user_id,
        created_at=now,
        content_type=photo.content_type,
        original_width=photo.width,
        original_height=photo.height,
        original_size_bytes=photo.uploaded_size,
        placeholder_blur_data_url=photo.placeholder,
        generation_status="pending",
        generation_attempts=0,
    )
