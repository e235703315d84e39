"""The states of a purchase on its way as a table, and the one function that brings a session to what Polar says of its checkout.

Invariant: what is completed stays so. What has failed can still be completed: the money came after all.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from schema.billing import CheckoutSession, CheckoutStatus
from schema.deliveries import DeliveryOutcome
from schema.reader import Reader
from schema.values import Id
from schema.writer import Writer
from server.providers.polar_wire import Checkout

Event: TypeAlias = Literal["open", "confirm", "succeed", "expire", "fail"]

STEPS: Final[dict[tuple[CheckoutStatus, Event], CheckoutStatus]] = {
    ("pending", "open"): "pending",
    ("pending", "confirm"): "pending",
    ("pending", "succeed"): "completed",
    ("pending", "expire"): "failed",
    ("pending", "fail"): "failed",
    ("completed", "open"): "completed",
    ("completed", "confirm"): "completed",
    ("completed", "succeed"): "completed",
    ("completed", "expire"): "completed",
    ("completed", "fail"): "completed",
    ("failed", "open"): "failed",
    ("failed", "confirm"): "failed",
    ("failed", "succeed"): "completed",
    ("failed", "expire"): "failed",
    ("failed", "fail"): "failed",
}
"""Total: Polar's events come in any order, and none of them is a mistake."""

EVENTS: Final[dict[str, Event]] = {
    "open": "open",
    "confirmed": "confirm",
    "succeeded": "succeed",
    "expired": "expire",
    "failed": "fail",
}
"""Polar's words. One that is missing here is from the future, and changes nothing."""

EXPIRED: Final = "The payment page has expired. Nothing was charged; please start again."
NOT_PAID: Final = "The payment did not go through. Please try again."
MAX_ID_CHARS = 64


async def apply_checkout(db: Writer, checkout: Checkout) -> DeliveryOutcome:
    """Bring our session to what Polar says of its checkout; `ignored` where it is not ours or says what we do not know.

    A session that has a checkout is moved by that one, or by money; another one that merely lapses is none of its concern.
    """
    event = EVENTS.get(checkout.status)
    session = await _session_of(db, checkout)
    if event is None or session is None:
        return "ignored"
    if event != "succeed" and session.checkout_id not in (None, checkout.id):
        return "skipped"
    if event == "succeed" and session.status != "completed":
        session = await db.patch(session, checkout_id=checkout.id)
    return "applied" if await move(db, session, event, NOT_PAID if event == "fail" else EXPIRED) else "skipped"


async def move(db: Writer, session: CheckoutSession, event: Event, sentence: str) -> bool:
    """Take the step that follows from an event; `sentence` is what the member reads where that is failure. False for no step."""
    status = STEPS[session.status, event]
    if status == session.status:
        return False
    if status == "completed":
        await db.patch(session, status=status, completed_at=db.now, error=None)
    else:
        await db.patch(session, status=status, error=sentence)
    return True


async def _session_of(db: Reader, checkout: Checkout) -> CheckoutSession | None:
    session = await db.one(CheckoutSession.by_checkout.eq(checkout_id=checkout.id))
    if session is not None:
        return session
    named = checkout.metadata.get("checkoutSessionId")
    if not isinstance(named, str) or not 0 < len(named) <= MAX_ID_CHARS:
        return None
    return await db.get(CheckoutSession, Id[CheckoutSession](named))
