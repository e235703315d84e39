"""Parked orders: paid, and nobody's until an administrator decides whose."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from schema.deliveries import ParkedOrder, ParkReason
from schema.document import Document
from schema.paging import Page, Paging
from schema.values import Id, Millis
from server.context import Admin, Mutation, Query
from server.errors import Missing
from server.functions import ledger, order_rules, orders
from server.functions.moderation import Reason, Subject
from server.functions.operations import NewBalance
from server.registry import mutation, query

OrderId = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Grant = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class ParkedView(Document, frozen=True, kw_only=True):
    """A parked order as administrators see it. `credits` is what it seems to be worth, `refunded` what went back meanwhile."""

    id: Id[ParkedOrder]
    order_id: str
    reason: ParkReason
    amount_cents: int
    currency: str
    created_at: Millis
    credits: int | None
    customer_id: str | None
    customer_email: str | None
    refunded: Literal["partly", "fully"] | None


@query
async def get_parked_orders(ctx: Query[Admin], pagination_opts: Paging) -> Page[ParkedView]:
    """Paid orders that wait for somebody to say whose they are, the latest first."""
    return (await ctx.db.page(ParkedOrder.by_created.all().newest_first(), pagination_opts)).map(_view)


@mutation()
async def assign_parked_order(
    ctx: Mutation[Admin],
    order_id: OrderId,
    user_id: Subject,
    credits: Grant,  # noqa: A002
    reason: Reason,
) -> NewBalance:
    """Give a parked order to a member for exactly so many credits; what was refunded of it is taken back like any other's."""
    parked = await orders.find_parked(ctx.db, order_id)
    if parked is None:
        raise Missing("parked order")
    if await ledger.find_user(ctx.db, user_id) is None:
        raise Missing("member")
    await orders.grant(ctx.db, orders.parked_order(parked), user_id, credits, parked)
    await ctx.audit(ctx.me.subject, "order.assigned", order_id, f"{credits:+d} to {user_id}: {reason}")
    return NewBalance((await ledger.ensure_user(ctx.db, user_id)).credits)


def _view(parked: ParkedOrder) -> ParkedView:
    state = order_rules.refunded(orders.parked_order(parked))
    shown = {name: getattr(parked, name) for name in ParkedView.__struct_fields__ if name != "refunded"}
    return ParkedView(**shown, refunded="fully" if state.in_full else "partly" if state.cents else None)
