"""What Polar's webhooks do: orders move credits, checkouts move on; everything else is only remembered.

Invariant: an event, what it changes and the row that remembers it are one transaction.
"""

from __future__ import annotations

import msgspec

from schema.deliveries import Delivery
from schema.values import Id
from schema.writer import Writer
from server.functions.checkout_states import apply_checkout
from server.functions.deliveries import Applied, once, subject_of
from server.functions.orders import apply_order
from server.providers.polar_wire import CHECKOUT_EVENTS, ORDER_EVENTS, Checkout, Event, Order


class UnreadableOrder(Exception):
    """An order that we cannot read: money may be at stake, so nothing is remembered and Polar sends it again."""


async def receive(db: Writer, row_id: Id[Delivery], event: Event, product_id: str | None) -> Applied:
    """Apply one event, once. Raises `UnreadableOrder`."""

    async def apply() -> Applied:
        if event.type in ORDER_EVENTS:
            return await _order(db, event, product_id)
        if event.type in CHECKOUT_EVENTS:
            return await _checkout(db, event)
        # A refund's own events among them: the order's carry the state that counts.
        return Applied(subject=subject_of(event.data), outcome="ignored")

    return await once(db, row_id, "polar", event.type, apply)


async def _order(db: Writer, event: Event, product_id: str | None) -> Applied:
    try:
        order = msgspec.json.decode(event.data, type=Order)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableOrder(f"{event.type} {subject_of(event.data)}: {error}") from None
    result = await apply_order(db, order, event.type, product_id=product_id)
    return Applied(subject=order.id, outcome=result.outcome, granted=result.granted, skipped=result.skipped)


async def _checkout(db: Writer, event: Event) -> Applied:
    try:
        checkout = msgspec.json.decode(event.data, type=Checkout)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Applied(subject=subject_of(event.data), outcome="ignored", flaw=str(error))
    outcome = await apply_checkout(db, checkout)
    return Applied(subject=checkout.id, outcome=outcome, skipped=outcome == "skipped")
