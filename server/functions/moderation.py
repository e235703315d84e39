"""Moderation: who may, what is shown, and what its owner is told. Every deed leaves a row in the audit log."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schema.images import Image
from schema.moderation import AuditEntry
from schema.paging import Page, Paging
from schema.users import AdminRole
from schema.values import Id
from server.context import Admin, Member, Mutation, Query, is_admin
from server.errors import Conflict, Invalid, Missing
from server.functions.views import ImageWithUrl, image_with_url
from server.registry import mutation, query
from server.visibility import restrict_file

Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Subject = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]

MAX_NORMALIZED = 200
FLAGLESS = (
    Image.by_is_generated.eq(is_generated=None),
    Image.by_featured.eq(is_featured=None),
    Image.by_featured.eq(is_featured=False, is_disabled_by_admin=None),
    Image.by_featured.eq(is_featured=True, is_disabled_by_admin=None),
)
"""Images from a time when a flag was absent rather than false."""


@query
async def get_admin_status(ctx: Query[Member]) -> bool:
    """Is the caller an administrator? Changes in open clients the moment it does."""
    return await is_admin(ctx.db, ctx.me.subject)


@mutation()
async def grant_admin(ctx: Mutation[Admin], user_id: Subject) -> None:
    """Make somebody an administrator."""
    if await is_admin(ctx.db, user_id):
        return
    await ctx.db.insert(AdminRole(user_id=user_id, created_at=ctx.clock.now()))
    await ctx.audit(ctx.me.subject, "admin.granted", user_id)


@mutation()
async def revoke_admin(ctx: Mutation[Admin], user_id: Subject) -> None:
    """Take the role away, at once and in open sockets too. The last administrator keeps it."""
    role = await ctx.db.one(AdminRole.by_user_id.eq(user_id=user_id))
    if role is None:
        raise Invalid("userId", "is not an administrator")
    others = [each for each in await ctx.db.take(AdminRole.by_user_id.all(), 2) if each.id != role.id]
    if not others:
        raise Conflict("The last administrator cannot be revoked. Make somebody else one first.")
    # Two who revoke each other at the same moment must meet at one row, or both would succeed (snapshots do not see it).
    await ctx.db.patch(others[0], confirmed_at=ctx.clock.now())
    await ctx.db.delete(role)
    await ctx.audit(ctx.me.subject, "admin.revoked", user_id)


@query
async def get_admin_featured_images(ctx: Query[Admin], pagination_opts: Paging) -> Page[ImageWithUrl]:
    """Everything that is featured, the disabled first, each by the latest."""
    found = await ctx.db.page(Image.by_featured.eq(is_featured=True).newest_first(), pagination_opts)
    return found.map(lambda image: image_with_url(image, ctx.urls.own_file(image)))


@query
async def get_pending_featured_images(ctx: Query[Admin], pagination_opts: Paging) -> Page[ImageWithUrl]:
    """What waits for approval, the latest first."""
    shown = Image.by_featured.eq(is_featured=True, is_disabled_by_admin=False).newest_first()
    found = await ctx.db.page(shown, pagination_opts, keep=lambda image: image.feature_approved_at is None)
    return found.map(lambda image: image_with_url(image, ctx.urls.own_file(image)))


@mutation()
async def approve_featured_image(ctx: Mutation[Admin], image_id: Id[Image]) -> None:
    """Let a featured image show where review is on."""
    image = await _featured(ctx, image_id)
    if image.feature_approved_at is not None:
        return
    await ctx.db.patch(
        image,
        feature_approved_at=ctx.clock.now(),
        feature_approved_by=ctx.me.subject,
        feature_rejected_at=None,
        feature_rejected_by=None,
        feature_rejection_reason=None,
    )
    await ctx.audit(ctx.me.subject, "image.approved", image_id)


@mutation()
async def reject_featured_image(ctx: Mutation[Admin], image_id: Id[Image], reason: Reason) -> None:
    """Take a featured image off the wall; its owner reads the reason and may ask again."""
    image = await _featured(ctx, image_id)
    image = await ctx.db.patch(
        image,
        is_featured=False,
        featured_at=None,
        feature_approved_at=None,
        feature_approved_by=None,
        feature_rejected_at=ctx.clock.now(),
        feature_rejected_by=ctx.me.subject,
        feature_rejection_reason=reason,
    )
    await restrict_file(ctx.db, image)
    await ctx.audit(ctx.me.subject, "image.rejected", image_id, reason)


@mutation()
async def disable_featured_image(ctx: Mutation[Admin], image_id: Id[Image], reason: Reason) -> None:
    """Hide an image from everybody but its owner, who reads the reason."""
    image = await _any(ctx, image_id)
    if image.is_disabled_by_admin:
        return
    image = await ctx.db.patch(
        image, is_disabled_by_admin=True, disabled_by_admin_at=ctx.clock.now(), disabled_by_admin_reason=reason
    )
    await restrict_file(ctx.db, image)
    await ctx.audit(ctx.me.subject, "image.disabled", image_id, reason)


@mutation()
async def enable_featured_image(ctx: Mutation[Admin], image_id: Id[Image]) -> None:
    """Show an image again."""
    image = await _any(ctx, image_id)
    if not image.is_disabled_by_admin:
        return
    image = await ctx.db.patch(
        image, is_disabled_by_admin=False, disabled_by_admin_at=None, disabled_by_admin_reason=None
    )
    await restrict_file(ctx.db, image)
    await ctx.audit(ctx.me.subject, "image.enabled", image_id)


@query
async def get_audit_log(ctx: Query[Admin], pagination_opts: Paging) -> Page[AuditEntry]:
    """Who did what to which document, and when; the latest first."""
    return await ctx.db.page(AuditEntry.by_created.all().newest_first(), pagination_opts)


async def _any(ctx: Mutation[Admin], image_id: Id[Image]) -> Image:
    image = await ctx.db.get(Image, image_id)
    if image is None:
        raise Missing("image")
    return image


@mutation()
async def normalize_featured_flags(ctx: Mutation[Admin]) -> int:
    """Write out flags that old images lack, and date what is featured without a date; how many were changed.

    At most a few hundred at a time: call again until there is nothing left to do.
    """
    flagless: dict[Id[Image], Image] = {}
    for lacking in FLAGLESS:
        flagless |= {image.id: image for image in await ctx.db.take(lacking, MAX_NORMALIZED)}
    for image in flagless.values():
        await ctx.db.restate(image, "is_generated", "is_featured", "is_disabled_by_admin")
    dateless = await ctx.db.take(
        Image.by_featured.eq(is_featured=True, is_disabled_by_admin=False, featured_at=None), MAX_NORMALIZED
    )
    for image in dateless:
        await ctx.db.patch(image, featured_at=image.created_at)
    changed = len(flagless.keys() | {image.id for image in dateless})
    if changed:
        await ctx.audit(ctx.me.subject, "images.normalized", "images", f"{changed} images")
    return changed


async def _featured(ctx: Mutation[Admin], image_id: Id[Image]) -> Image:
    image = await _any(ctx, image_id)
    if not image.is_featured:
        raise Conflict("This image is not featured.")
    return image
