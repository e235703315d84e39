"""Settings that administrators change while everything runs: what credits cost, and whether featuring needs approval."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schema.billing import BILLING_SETTINGS_ID, BillingSettings
from schema.moderation import MODERATION_SETTINGS_ID, ModerationSettings
from schema.values import Millis, camel
from schema.wire import Said
from server.context import Admin, Mutation, Query
from server.functions import ledger
from server.registry import mutation, query

Cents = Annotated[int, msgspec.Meta(ge=50, le=1_000_000)]
PackSize = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
TrialSize = Annotated[int, msgspec.Meta(ge=0, le=10_000)]


class BillingView(Said, frozen=True, kw_only=True, rename=camel):
    """The billing settings, and who set them; null when nobody has."""

    pack_price_cents: int
    credits_per_pack: int
    refund_on_failure: bool
    free_trial_credits: int
    updated_at: Millis | None
    updated_by: str | None
    is_default: bool


class ModerationView(msgspec.Struct, frozen=True, rename=camel):
    """Does featuring need approval?"""

    require_approval: bool


@query
async def get_billing_settings(ctx: Query[Admin]) -> BillingView:
    """What a pack costs and holds, what newcomers get, and whether failures are refunded."""
    settings = await ledger.billing_settings(ctx.db)
    return BillingView(
        pack_price_cents=settings.pack_price_cents,
        credits_per_pack=settings.credits_per_pack,
        refund_on_failure=settings.refund_on_failure,
        free_trial_credits=settings.free_trial_credits,
        updated_at=settings.updated_at,
        updated_by=settings.updated_by,
        is_default=settings.updated_at is None,
    )


@mutation()
async def update_billing_settings(
    ctx: Mutation[Admin],
    pack_price_cents: Cents,
    credits_per_pack: PackSize,
    refund_on_failure: bool,
    free_trial_credits: TrialSize,
) -> None:
    """Change them, for what happens from now on."""
    now, me = ctx.clock.now(), ctx.me.subject
    settings = BillingSettings(
        id=BILLING_SETTINGS_ID,
        pack_price_cents=pack_price_cents,
        credits_per_pack=credits_per_pack,
        refund_on_failure=refund_on_failure,
        free_trial_credits=free_trial_credits,
        updated_at=now,
        updated_by=me,
    )
    await ctx.db.put(settings)
    await ctx.audit(me, "billing.changed", settings.id, msgspec.json.encode(settings).decode())


@query
async def get_moderation_settings(ctx: Query[Admin]) -> ModerationView:
    """Does featuring need approval?"""
    settings = await ctx.db.get(ModerationSettings, MODERATION_SETTINGS_ID) or ModerationSettings()
    return ModerationView(settings.require_approval)


@mutation()
async def update_moderation_settings(ctx: Mutation[Admin], require_approval: bool) -> None:
    """Turn review on or off, for every visitor at once."""
    now, me = ctx.clock.now(), ctx.me.subject
    settings = ModerationSettings(
        id=MODERATION_SETTINGS_ID, require_approval=require_approval, updated_at=now, updated_by=me
    )
    await ctx.db.put(settings)
    await ctx.audit(me, "moderation.changed", settings.id, f"review {'on' if require_approval else 'off'}")
