"""What an order means: who bought it, what was sold, how much of it goes back. Plain values in, plain decisions out.

Invariant: what is decided follows from what an order is and how fresh that is, never from which event brought it or when it came.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from schema.billing import BillingSettings, CheckoutSession, Payment
from schema.deliveries import ParkReason
from schema.values import Millis
from server.providers.polar_wire import Order

PAID = frozenset({"paid", "partially_refunded", "refunded"})
"""Money has come in. Polar's own `paid` flag says the same of all three."""
PURCHASE = "purchase"
CURRENCY = "usd"
MAX_PACKS = 1_000
MAX_CREDITS_PER_PACK = 1_000_000
MAX_ID_CHARS = 255
MAX_DIGITS = 9

Standing: TypeAlias = Literal["member", "left", "unknown"]
"""Whom we take the buyer for; who has no account yet is about to have one."""


class Offer(msgspec.Struct, frozen=True):
    """What the buyer was promised, and for how much."""

    credits: int
    amount_cents: int
    currency: str = CURRENCY


class Refunded(msgspec.Struct, frozen=True, order=True):
    """How much of an order has gone back, and as of when. The greatest is the truth: the newest, of equally old ones the most."""

    seen_at: Millis
    in_full: bool = False
    cents: int = 0


class Share(msgspec.Struct, frozen=True):
    """What a change of a refund does to a member: the movement that the balance can bear, and what is owed after it."""

    movement: int
    owed: int


def dated(order: Order, kind: str) -> Order:
    """The order with the age that its event gives it. `order.paid` is about the purchase: however late it is written, what a
    refund has said is never taken back by it."""
    return msgspec.structs.replace(order, modified_at=None) if kind == "order.paid" else order


def newest(one: Order, other: Order) -> Order:
    """The fresher of two states of the same order."""
    return max(one, other, key=refunded)


def session_named(order: Order) -> str | None:
    """The checkout session that the order's metadata names."""
    return _text(order.metadata.get("checkoutSessionId"))


def subject_named(order: Order, session: CheckoutSession | None) -> str | None:
    """The person for whom the order says it was bought; our own record of the checkout is believed first."""
    customer = order.customer
    told = (
        session and session.user_id,
        customer and customer.external_id,
        order.metadata.get("userId"),
        customer and customer.metadata.get("userId"),
    )
    return next((subject for subject in map(_text, told) if subject is not None), None)


def customer_of(order: Order) -> str | None:
    """Who paid, by Polar's id."""
    return order.customer_id or (order.customer.id if order.customer is not None else None)


def offered(order: Order, session: CheckoutSession | None, settings: BillingSettings) -> Offer | None:
    """What was promised: by our record of the checkout, else by what the order's metadata kept of it."""
    if session is not None:
        return Offer(session.packs * session.credits_per_pack, session.amount_cents, session.currency)
    packs = _whole(order.metadata.get("packs", 1), MAX_PACKS)
    credits_per_pack = _whole(order.metadata.get("creditsPerPack"), MAX_CREDITS_PER_PACK)
    if packs is None or credits_per_pack is None:
        return None
    return Offer(packs * credits_per_pack, packs * settings.pack_price_cents)


def decide(
    order: Order, buyer: Standing, offer: Offer | None, settings: BillingSettings, product_id: str | None
) -> int | ParkReason:
    """The credits that a paid order grants, or why an administrator has to look at it."""
    if order.billing_reason != PURCHASE:
        return "not_a_purchase"
    if buyer != "member":
        return "buyer_left" if buyer == "left" else "buyer_unknown"
    if offer is None:
        packs = _packs_for(order, settings, product_id)
        return "pack_unknown" if packs is None else packs * settings.credits_per_pack
    if (order.net_amount, order.currency.lower()) != (offer.amount_cents, offer.currency.lower()):
        return "amount_mismatch"
    return offer.credits


def refunded(order: Order) -> Refunded:
    """What the order says about its refunds. An age that cannot be read is the oldest."""
    try:
        seen_at = order.seen_at
    except (ValueError, OverflowError):
        seen_at = 0.0
    return Refunded(seen_at, order.status == "refunded", max(0, order.refunded_amount))


def recorded(payment: Payment) -> Refunded:
    """What we have recorded about a payment's refunds."""
    return Refunded(payment.order_seen_at, payment.status == "refunded", payment.refunded_cents)


def to_revoke(payment: Payment, state: Refunded) -> int:
    """How many of the granted credits are to be taken back in all, rounded in the buyer's favour."""
    if state.in_full:
        return payment.credits_granted
    if payment.amount_cents <= 0:
        return 0
    return min(payment.credits_granted, payment.credits_granted * state.cents // payment.amount_cents)


def shared(delta: int, balance: int, owed: int) -> Share:
    """Take `delta` more credits back, or give so many again: the balance bears what it can, debt is the first to be forgiven."""
    if delta >= 0:
        taken = min(delta, balance)
        return Share(-taken, owed + delta - taken)
    forgiven = min(-delta, owed)
    return Share(-delta - forgiven, owed - forgiven)


def _packs_for(order: Order, settings: BillingSettings, product_id: str | None) -> int | None:
    """How many packs of the present size the price buys exactly."""
    packs, rest = divmod(order.net_amount, settings.pack_price_cents)
    is_ours = product_id is None or order.product_id == product_id
    is_exact = rest == 0 and 1 <= packs <= MAX_PACKS and order.currency.lower() == CURRENCY
    return packs if is_ours and is_exact else None


def _text(value: object) -> str | None:
    """A metadata value that can be an id."""
    return value if isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARS else None


def _whole(value: object, most: int) -> int | None:
    """A metadata value that counts something: from one to `most`, also when it was written as a text or with a point."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= MAX_DIGITS:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most else None
