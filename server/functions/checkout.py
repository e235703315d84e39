"""Opening the payment page of a checkout session, at Polar: the outside half of `payments:initiateCheckout`.

Invariant: a session has at most one page. Polar knows no idempotency key, so whoever does not know for certain that an earlier
attempt came to nothing looks for its page first, and where that cannot be looked up opens no other.
"""

from __future__ import annotations

import logging
from typing import Final

import msgspec

from jobs.outcome import Broken, Done, Outcome, Refused, Transient
from jobs.queue import JobSpec
from schema.billing import CheckoutSession
from schema.system import Job
from schema.values import Id, Millis, seconds
from schema.writer import Writer
from server.database import Database
from server.functions.checkout_states import move
from server.providers.polar import FixedPrice, NewCheckout, PolarClient
from server.providers.polar_outcomes import BUSY, NO_ANSWER, TROUBLE, UNAVAILABLE, UNREACHABLE, PolarFailed
from server.providers.polar_wire import Checkout
from server.work import CREATE_CHECKOUT

VOID: Final = frozenset({BUSY, TROUBLE, UNREACHABLE})
"""Reasons of attempts that certainly opened no page."""
SETTLING_MS: Millis = seconds(3)
"""After a silence: what was asked may still be under way over there, and is to be found by whoever looks next."""
SESSION_IS_GONE: Final = "This checkout no longer exists."
UNCERTAIN: Final = "The payment page could not be opened."
AFTERWARDS: Final = "Nothing was charged; please try again."

log = logging.getLogger("anime.checkout")


class Shop(msgspec.Struct, frozen=True):
    """What is sold, by Polar's id, and where buyers come back to."""

    product_id: str
    public_url: str


class CreateCheckout:
    """Runs `create_checkout` jobs; a job's subject is the session's id."""

    def __init__(self, database: Database, polar: PolarClient, shop: Shop) -> None:
        self.spec: JobSpec = CREATE_CHECKOUT
        self._database, self._polar, self._shop = database, polar, shop

    def __repr__(self) -> str:
        return f"<CreateCheckout at {self._polar!r}>"

    async def begin(self, db: Writer, job: Job) -> None:
        """The session is pending from its first moment."""

    async def run(self, job: Job) -> Outcome:
        """Open the page, or find the one that an earlier attempt opened, and put it on the session."""
        session = await (await self._database.newest()).get(CheckoutSession, Id[CheckoutSession](job.subject))
        if session is None:
            return Refused(SESSION_IS_GONE)
        if session.status != "pending" or session.checkout_id is not None:
            return Done(_nothing_more)
        if not self._shop.product_id:
            log.error("nothing can be sold; check POLAR_PRODUCT_ID", extra={"action": "checkout.misconfigured"})
            return Refused(UNAVAILABLE)
        found = await self._earlier(session, job) if job.attempt > 1 else None
        made = found or await self._create(session)
        if not isinstance(made, Checkout):
            return made

        async def commit(db: Writer) -> None:
            await _offer(db, session.id, made)

        return Done(commit)

    async def retry(self, db: Writer, job: Job, reason: str) -> None:
        """The session stays pending."""

    async def give_up(self, db: Writer, job: Job, reason: str) -> None:
        """The member reads why there is no page."""
        session = await db.get(CheckoutSession, Id[CheckoutSession](job.subject))
        if session is not None:
            await move(db, session, "fail", f"{reason} {AFTERWARDS}")

    async def _earlier(self, session: CheckoutSession, job: Job) -> Checkout | Refused | Transient | None:
        """The page of an earlier attempt; None where there certainly is none and one may be opened."""
        # What was handed back undone keeps the reason of the attempt before it, which says nothing of itself.
        is_void = job.reason in VOID and job.max_attempts == self.spec.max_attempts
        try:
            return await self._polar.find_checkout(session.user_id, session.id)
        except PolarFailed as failed:
            if failed.is_not_offered:
                return None if is_void else Refused(UNCERTAIN)
            if isinstance(failed.outcome, Transient):
                reason = job.reason if is_void and job.reason else NO_ANSWER
                return Transient(reason, failed.outcome.retry_after)
            return Refused(failed.outcome.reason)

    async def _create(self, session: CheckoutSession) -> Checkout | Refused | Transient:
        try:
            return await self._polar.create_checkout(wanted_for(session, self._shop))
        except PolarFailed as failed:
            match failed.outcome:
                case Transient(reason=reason, retry_after=asked) if failed.is_void:
                    return Transient(reason, asked)
                case Transient(retry_after=asked):
                    return Transient(NO_ANSWER, max(SETTLING_MS, asked or 0.0))
                case Refused(reason=reason) | Broken(reason=reason):
                    return Refused(reason)


def wanted_for(session: CheckoutSession, shop: Shop) -> NewCheckout:
    """What Polar is asked for. What the session offers is repeated in the metadata, which the order will carry."""
    price = FixedPrice(price_amount=session.amount_cents, price_currency=session.currency)
    return NewCheckout(
        products=[shop.product_id],
        prices={shop.product_id: [price]},
        external_customer_id=session.user_id,
        metadata={
            "userId": session.user_id,
            "packs": session.packs,
            "creditsPerPack": session.credits_per_pack,
            "checkoutSessionId": session.id,
        },
        allow_discount_codes=False,
        success_url=session.success_url or f"{shop.public_url}/?checkout_id={{CHECKOUT_ID}}",
        return_url=shop.public_url,
        customer_email=session.customer_email,
        customer_name=session.customer_name,
        embed_origin=session.embed_origin,
    )


async def _offer(db: Writer, session_id: Id[CheckoutSession], checkout: Checkout) -> None:
    """Show the page to who waits for it, unless the session has ended meanwhile."""
    session = await db.get(CheckoutSession, session_id)
    if session is not None and session.status == "pending":
        await db.patch(session, url=checkout.url, client_secret=checkout.client_secret, checkout_id=checkout.id)


async def _nothing_more(db: Writer) -> None:
    return None
