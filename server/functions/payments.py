"""Buying credits: a checkout that its buyer watches, and what they have paid for so far."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schema.billing import CheckoutSession, CheckoutStatus, Payment, PaymentStatus
from schema.paging import Page, Paging
from schema.values import Id, Millis, camel, minutes
from server.context import Member, Mutation, Query
from server.errors import Forbidden, Invalid
from server.functions import ledger
from server.limits import per_member
from server.registry import mutation, query
from server.work import CREATE_CHECKOUT

PACKS = 1
MAX_EMAIL_CHARS = 254
MAX_NAME_CHARS = 200

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
Email = Annotated[str, msgspec.Meta(max_length=MAX_EMAIL_CHARS)]


class CheckoutView(msgspec.Struct, frozen=True, kw_only=True, rename=camel):
    """How far a purchase is; `url` and `client_secret` are there once it can be paid, `error` once it cannot."""

    status: CheckoutStatus
    client_secret: str | None = None
    url: str | None = None
    checkout_id: str | None = None
    error: str | None = None


class PaymentView(msgspec.Struct, frozen=True, kw_only=True, rename=camel):
    """One paid order."""

    order_id: str
    amount_cents: int
    credits_granted: int
    status: PaymentStatus
    created_at: Millis


@mutation(limit=per_member(10, each=minutes(1)))
async def initiate_checkout(
    ctx: Mutation[Member],
    success_url: str | None = None,
    embed_origin: str | None = None,
    customer_email: Email | None = None,
    customer_name: Name | None = None,
) -> Id[CheckoutSession]:
    """Offer the caller a pack at today's price. Its payment page is opened by a job; watch the session for it."""
    if ctx.me.is_impersonated:
        raise Forbidden("Nobody can buy on somebody else's behalf.")
    settings, returns = await ledger.billing_settings(ctx.db), ctx.urls.returns
    offer = CheckoutSession(
        user_id=ctx.me.subject,
        status="pending",
        created_at=ctx.clock.now(),
        packs=PACKS,
        credits_per_pack=settings.credits_per_pack,
        amount_cents=PACKS * settings.pack_price_cents,
        success_url=None if success_url is None else returns.page("successUrl", success_url),
        embed_origin=None if embed_origin is None else returns.origin("embedOrigin", embed_origin),
        customer_email=None if customer_email is None else _email(customer_email),
        customer_name=None if customer_name is None else _name(customer_name),
    )
    await ledger.ensure_user(ctx.db, ctx.me.subject)
    session = await ctx.db.insert(offer)
    await ctx.enqueue(CREATE_CHECKOUT, session.id, ctx.me.subject)
    return session.id


@query
async def get_checkout_session(ctx: Query[Member], session_id: Id[CheckoutSession]) -> CheckoutView | None:
    """The caller's own checkout as it is now; null for any other."""
    session = await ctx.db.get(CheckoutSession, session_id)
    if session is None or session.user_id != ctx.me.subject:
        return None
    return CheckoutView(
        status=session.status,
        client_secret=session.client_secret,
        url=session.url,
        checkout_id=session.checkout_id,
        error=session.error,
    )


@query
async def get_payment_history(ctx: Query[Member], pagination_opts: Paging) -> Page[PaymentView]:
    """What the caller has paid for, newest first."""
    mine = Payment.by_user_and_created.eq(user_id=ctx.me.subject).newest_first()
    return (await ctx.db.page(mine, pagination_opts)).map(_shown)


def _shown(payment: Payment) -> PaymentView:
    return PaymentView(
        order_id=payment.order_id,
        amount_cents=payment.amount_cents,
        credits_granted=payment.credits_granted,
        status=payment.status,
        created_at=payment.created_at,
    )


def _email(text: str) -> str:
    """An address that looks like one; whether it is one, Polar finds out."""
    user, _, host = text.partition("@")
    if not user or not host or "@" in host or not text.isprintable() or any(each.isspace() for each in text):
        raise Invalid("customerEmail", "must be an e-mail address")
    return text


def _name(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise Invalid("customerName", "must be a name, without control characters")
    return text
