"""Galleries: a member's own, live while pictures are drawn, and the public one."""

from __future__ import annotations

from schema.images import Image
from schema.moderation import MODERATION_SETTINGS_ID, ModerationSettings
from schema.paging import Page, Paging
from server.context import Anyone, Member, Query
from server.functions.views import FailedImage, ImageWithUrl, PublicImage, failed_image, image_with_url, public_image
from server.registry import query

MAX_COUNTED_IMAGES = 10_000
MAX_FAILED_IMAGES = 50
MAX_UNPAGED_IMAGES = 200


def belongs_in_gallery(image: Image) -> bool:
    """Results, and originals that are still being worked on."""
    return image.is_generated or image.generation_status in ("pending", "processing")


@query
async def get_gallery_images_paginated(ctx: Query[Member], pagination_opts: Paging) -> Page[ImageWithUrl]:
    """The caller's gallery, newest first: results, and originals still being worked on."""
    mine = Image.by_user_and_created.eq(user_id=ctx.me.subject).newest_first()
    found = await ctx.db.page(mine, pagination_opts, keep=belongs_in_gallery)
    return found.map(lambda image: image_with_url(image, ctx.urls.own_file(image)))


@query
async def get_gallery_images(ctx: Query[Member]) -> list[ImageWithUrl]:
    """The newest of the caller's gallery at once, for clients that do not page."""
    mine = Image.by_user_and_created.eq(user_id=ctx.me.subject).newest_first()
    first = Paging(num_items=MAX_UNPAGED_IMAGES, cursor=None)
    found = await ctx.db.page(mine, first, keep=belongs_in_gallery)
    return [image_with_url(image, ctx.urls.own_file(image)) for image in found.page]


@query
async def get_images(ctx: Query[Member]) -> list[ImageWithUrl]:
    """The same under its older name."""
    return await get_gallery_images(ctx)


@query
async def get_gallery_images_count(ctx: Query[Member]) -> int:
    """How many images the caller's gallery shows."""
    me = ctx.me.subject
    results = await ctx.db.count(Image.by_user_and_kind.eq(user_id=me, is_generated=True), MAX_COUNTED_IMAGES)
    waiting = await ctx.db.count(
        Image.by_user_and_status.eq(user_id=me, generation_status="pending"), MAX_COUNTED_IMAGES
    )
    drawing = await ctx.db.count(
        Image.by_user_and_status.eq(user_id=me, generation_status="processing"), MAX_COUNTED_IMAGES
    )
    return results + waiting + drawing


@query
async def has_active_generations(ctx: Query[Member]) -> bool:
    """Is anything of the caller's being drawn or about to be?"""
    me = ctx.me.subject
    return await ctx.db.exists(Image.by_user_and_status.eq(user_id=me, generation_status="pending")) or (
        await ctx.db.exists(Image.by_user_and_status.eq(user_id=me, generation_status="processing"))
    )


@query
async def get_failed_images(ctx: Query[Member]) -> list[FailedImage]:
    """The caller's originals that could not be drawn, and why."""
    failed = Image.by_user_and_status.eq(user_id=ctx.me.subject, generation_status="failed").newest_first()
    images = await ctx.db.take(failed, MAX_FAILED_IMAGES)
    return [failed_image(image, ctx.urls.own_file(image)) for image in images]


@query
async def get_public_gallery(ctx: Query[Anyone], pagination_opts: Paging) -> Page[PublicImage]:
    """Featured images, the latest first; where review is on, only approved ones."""
    settings = await ctx.db.get(ModerationSettings, MODERATION_SETTINGS_ID) or ModerationSettings()
    shown = Image.by_featured.eq(is_featured=True, is_disabled_by_admin=False).newest_first()
    found = await ctx.db.page(
        shown,
        pagination_opts,
        keep=lambda image: not settings.require_approval or image.feature_approved_at is not None,
    )
    return found.map(lambda image: public_image(image, ctx.urls.file(image.body)))
