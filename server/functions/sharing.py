"""Sharing: who may see one image by its link, and until when."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schema.images import Image
from schema.values import Id, hours
from server.context import Anyone, Member, Mutation, Query, is_admin
from server.errors import Forbidden, Missing
from server.functions.views import ImageWithUrl, SharedImage, image_with_url, shared_image
from server.registry import mutation, query
from server.visibility import restrict_file

MAX_EXPIRATION_HOURS = 24 * 366 * 10

ExpirationHours = Annotated[float, msgspec.Meta(ge=0, le=MAX_EXPIRATION_HOURS)]


@query
async def get_image_by_id(ctx: Query[Anyone], image_id: Id[Image]) -> ImageWithUrl | SharedImage | None:
    """An image by its link: what its owner or an administrator sees, what everybody sees, or null where it is not shared.

    Turns to null by itself at the moment the link expires.
    """
    image = await ctx.db.get(Image, image_id)
    if image is None:
        return None
    viewer = ctx.me.signed_in_subject
    if viewer is not None and (image.user_id == viewer or await is_admin(ctx.db, viewer)):
        return image_with_url(image, ctx.urls.own_file(image))
    if image.sharing_enabled is False or image.is_disabled_by_admin:
        return None
    if image.share_expires_at is not None and not ctx.clock.before(image.share_expires_at):
        return None
    return shared_image(image, ctx.urls.file(image.body))


@mutation()
async def update_share_settings(
    ctx: Mutation[Member], image_id: Id[Image], sharing_enabled: bool, expiration_hours: ExpirationHours | None = None
) -> None:
    """Share one of the caller's images by its link, for some hours or until told otherwise; or stop sharing it."""
    image = await ctx.db.get(Image, image_id)
    if image is None:
        raise Missing("image")
    if image.user_id != ctx.me.subject:
        raise Forbidden("This image belongs to somebody else.")
    expires_at = ctx.clock.now() + hours(expiration_hours) if sharing_enabled and expiration_hours else None
    image = await ctx.db.patch(image, sharing_enabled=sharing_enabled, share_expires_at=expires_at)
    await restrict_file(ctx.db, image)
