"""Polar's orders on our books: each grants once, and takes back what its newest state says, however often and in whatever
order its events arrive.

Invariant: a payment's `credits_revoked` is what the freshest known state of its order takes back; what the balance could not
bear of it is in `credits_owed`. An order that is paid and cannot be granted is parked, never dropped.
"""

from __future__ import annotations

import msgspec

from schema.billing import CheckoutSession, LedgerEntry, Payment
from schema.deliveries import DeliveryOutcome, ParkedOrder, ParkReason
from schema.reader import Reader
from schema.users import User
from schema.values import Id
from schema.writer import Writer
from server.functions import leaving, ledger
from server.functions import order_rules as rules
from server.providers.polar_wire import Order


class PaymentResult(msgspec.Struct, frozen=True):
    """What an order led to this time. `skipped`: nothing that it says was new to us, or nothing is paid yet."""

    granted: int
    skipped: bool
    outcome: DeliveryOutcome


async def apply_order(db: Writer, order: Order, kind: str, *, product_id: str | None = None) -> PaymentResult:
    """Bring our books to what this order says; the data model's `processPaidOrder`, and its refunds.

    `kind` is the event that brought it, or `reconcile`; `product_id` is what we sell, where that is configured. Raises
    `NotUnique` when somebody else is granting it at this moment: run the transaction again.
    """
    if order.status not in rules.PAID:
        return PaymentResult(0, skipped=True, outcome="ignored")
    order = rules.dated(order, kind)
    payment, parked = await db.one(Payment.by_order_id.eq(order_id=order.id)), await find_parked(db, order.id)
    if parked is not None:
        order = rules.newest(order, parked_order(parked))
    if payment is not None:
        if parked is not None:  # somebody parked it at the very moment in which its buyer was found
            await db.delete(parked)
        is_news = await _follow_refund(db, payment, order)
        return PaymentResult(0, skipped=not is_news, outcome="applied" if is_news else "skipped")
    session, settings = await _session_of(db, order), await ledger.billing_settings(db)
    offer = rules.offered(order, session, settings)
    subject, standing = await _buyer(db, order, session)
    decision = rules.decide(order, standing, offer, settings, product_id)
    if not isinstance(decision, int):
        return await _park(db, order, parked, decision, None if offer is None else offer.credits)
    await grant(db, order, subject, decision, parked)
    return PaymentResult(decision, skipped=False, outcome="applied")


async def grant(db: Writer, order: Order, subject: str, credits: int, parked: ParkedOrder | None) -> None:  # noqa: A002
    """Give the order's credits to this person, less what its refunds take back, and end its being parked."""
    session, customer = await _session_of(db, order), rules.customer_of(order)
    user = await ledger.ensure_user(db, subject)
    user = await ledger.move(db, user, credits, "order", key=f"order:{order.id}", order_id=order.id)
    if user.polar_customer_id is None and customer is not None:
        user = await db.patch(user, polar_customer_id=customer)
    if session is not None:
        await _complete(db, session, order)
    payment = await db.insert(
        Payment(
            order_id=order.id,
            user_id=subject,
            amount_cents=order.net_amount,
            credits_granted=credits,
            status="paid",
            created_at=db.now,
            currency=order.currency,
            order_seen_at=rules.refunded(order).seen_at,
            checkout_session_id=None if session is None else session.id,
        )
    )
    await _follow_refund(db, payment, order)
    if parked is not None:
        await db.delete(parked)


async def find_parked(db: Reader, order_id: str) -> ParkedOrder | None:
    """The order with this id, if it waits for an administrator."""
    return await db.one(ParkedOrder.by_order_id.eq(order_id=order_id))


def parked_order(parked: ParkedOrder) -> Order:
    """The order as it was last received."""
    return msgspec.json.decode(parked.order, type=Order)


async def _session_of(db: Reader, order: Order) -> CheckoutSession | None:
    """Our record of the checkout that the order came from."""
    if order.checkout_id is not None:
        session = await db.one(CheckoutSession.by_checkout.eq(checkout_id=order.checkout_id))
        if session is not None:
            return session
    named = rules.session_named(order)
    return None if named is None else await db.get(CheckoutSession, Id[CheckoutSession](named))


async def _buyer(db: Reader, order: Order, session: CheckoutSession | None) -> tuple[str, rules.Standing]:
    """Who bought it. Who has movements and no account has left; who has neither is about to have an account."""
    subject = rules.subject_named(order, session)
    if subject is None:
        customer = rules.customer_of(order)
        user = None if customer is None else await db.one(User.by_polar_customer.eq(polar_customer_id=customer))
        return ("", "unknown") if user is None else (user.user_id, "member")
    if await ledger.find_user(db, subject) is not None:
        return subject, "member"
    has_moved = await db.exists(LedgerEntry.by_user_and_created.eq(user_id=subject))
    return subject, "left" if has_moved or await leaving.has_ever_left(db, subject) else "member"


async def _complete(db: Writer, session: CheckoutSession, order: Order) -> None:
    """The checkout has led to money, whatever it was thought to have come to."""
    await db.patch(
        session,
        status="completed",
        completed_at=session.completed_at or db.now,
        checkout_id=session.checkout_id or order.checkout_id,
        error=None,
    )


async def _follow_refund(db: Writer, payment: Payment, order: Order) -> bool:
    """Take back, or give again, what the order's state differs from what we knew; false when it says nothing new."""
    known, told = rules.recorded(payment), rules.refunded(order)
    if told <= known:
        return False
    target = rules.to_revoke(payment, told)
    has_moved = await _take_back(db, payment, target - payment.credits_revoked)
    # Its age is recorded also when nothing else is new: an older state that arrives later must find out that it is older.
    await db.patch(
        payment,
        status="refunded" if told.in_full else "paid",
        refunded_cents=told.cents,
        credits_revoked=target,
        movements=payment.movements + has_moved,
        order_seen_at=told.seen_at,
    )
    return (told.in_full, told.cents) != (known.in_full, known.cents)


async def _take_back(db: Writer, payment: Payment, delta: int) -> bool:
    """Move `delta` credits of the buyer's, as far as they are there, and keep the rest as owed; did a movement come of it?"""
    user = await ledger.find_user(db, payment.user_id)
    if user is None or delta == 0:
        return False
    share = rules.shared(delta, user.credits, user.credits_owed or 0)
    if share.movement:
        key = f"order_refund:{payment.order_id}:{payment.movements + 1}"
        user = await ledger.move(db, user, share.movement, "order_refund", key=key, order_id=payment.order_id)
    await db.patch(user, credits_owed=share.owed or None)
    return share.movement != 0


async def _park(
    db: Writer, order: Order, parked: ParkedOrder | None, reason: ParkReason, worth: int | None
) -> PaymentResult:
    """Keep the order for an administrator, once, as it is now; without the address of who wanted to be forgotten."""
    if reason == "buyer_left" and order.customer is not None:
        order = msgspec.structs.replace(order, customer=msgspec.structs.replace(order.customer, email=None))
    seen = ParkedOrder(
        order_id=order.id,
        reason=reason,
        amount_cents=order.net_amount,
        currency=order.currency,
        order=msgspec.json.encode(order).decode(),
        created_at=db.now,
        credits=worth,
        customer_id=rules.customer_of(order),
        customer_email=None if order.customer is None else order.customer.email,
    )
    if parked is None:
        await db.insert(seen)
        return PaymentResult(0, skipped=False, outcome="parked")
    kept = msgspec.structs.replace(seen, id=parked.id, creation_time=parked.creation_time, created_at=parked.created_at)
    await db.patch(parked, **{name: getattr(kept, name) for name in kept.__struct_fields__})
    return PaymentResult(0, skipped=kept == parked, outcome="parked")
