"""Do webhooks reach us? What came lately, what waits for a decision, and what only our own comparison brought to light."""

from __future__ import annotations

from schema.deliveries import RECONCILIATION_ID, Delivery, ParkedOrder, Provider, Reconciliation
from schema.reader import Reader
from schema.values import Millis, camel, days
from schema.wire import Said
from server.context import Admin, Query
from server.registry import query

MAX_COUNTED = 10_000
MAX_LOOKED_AT = 5_000
"""Of one provider's latest deliveries; a day with more is counted up to here."""


class WebhookHealth(Said, frozen=True, kw_only=True, rename=camel):
    """Times are null where nothing has happened. `found_by_reconcile` above zero means that webhooks did not reach us."""

    last_polar_at: Millis | None
    last_clerk_at: Millis | None
    deliveries_24h: int
    skipped_24h: int
    parked_orders: int
    oldest_parked_at: Millis | None
    reconciled_at: Millis | None
    found_by_reconcile: int


@query
async def get_webhook_health(ctx: Query[Admin]) -> WebhookHealth:
    """What came from outside in the last 24 hours, and what nobody told us, live."""
    since = ctx.clock.minute() - days(1)
    recent = [*await _since(ctx.db, "polar", since), *await _since(ctx.db, "clerk", since)]
    oldest = await ctx.db.one(ParkedOrder.by_created.all())
    compared = await ctx.db.get(Reconciliation, RECONCILIATION_ID)
    return WebhookHealth(
        last_polar_at=await _last(ctx.db, "polar"),
        last_clerk_at=await _last(ctx.db, "clerk"),
        deliveries_24h=len(recent),
        skipped_24h=sum(each.outcome == "skipped" for each in recent),
        parked_orders=await ctx.db.count(ParkedOrder.by_created.all(), MAX_COUNTED),
        oldest_parked_at=None if oldest is None else oldest.created_at,
        reconciled_at=None if compared is None else compared.ran_at,
        found_by_reconcile=0 if compared is None else compared.found,
    )


async def _since(db: Reader, provider: Provider, moment: Millis) -> list[Delivery]:
    latest = Delivery.by_provider_and_received.eq(provider=provider).at_least(moment).newest_first()
    return await db.take(latest, MAX_LOOKED_AT)


async def _last(db: Reader, provider: Provider) -> Millis | None:
    last = await db.one(Delivery.by_provider_and_received.eq(provider=provider).newest_first())
    return None if last is None else last.received_at
