"""Money: the credit ledger, payments, checkouts and the settings that govern them."""

from __future__ import annotations

from typing import Literal, TypeAlias

from schema.document import NEW, Document, index, table
from schema.images import Image
from schema.values import Id, Millis

LedgerKind: TypeAlias = Literal["trial", "spend", "refund", "order", "order_refund", "adjustment"]
PaymentStatus: TypeAlias = Literal["paid", "refunded", "failed"]
CheckoutStatus: TypeAlias = Literal["pending", "completed", "failed"]


@table("ledger")
class LedgerEntry(Document, frozen=True, kw_only=True):
    """One movement of credits. `key` is its idempotency key: the same movement can be written only once."""

    id: Id[LedgerEntry] = NEW
    user_id: str
    kind: LedgerKind
    amount: int
    balance_after: int
    key: str
    created_at: Millis
    image_id: Id[Image] | None = None
    order_id: str | None = None

    by_key = index("key", unique=True)
    by_user_and_created = index("user_id", "created_at")


@table("payments")
class Payment(Document, frozen=True, kw_only=True):
    """A paid order, once per order id."""

    id: Id[Payment] = NEW
    order_id: str
    user_id: str
    amount_cents: int
    credits_granted: int
    status: PaymentStatus
    created_at: Millis

    by_order_id = index("order_id", unique=True)
    by_user_id = index("user_id")
    by_created = index("created_at")


@table("billingSettings")
class BillingSettings(Document, frozen=True, kw_only=True):
    """What a pack costs and holds, what newcomers get, and whether failures are refunded. At most one row."""

    id: Id[BillingSettings] = NEW
    pack_price_cents: int = 500
    credits_per_pack: int = 420
    refund_on_failure: bool = True
    free_trial_credits: int = 10
    updated_at: Millis | None = None
    updated_by: str | None = None


@table("checkoutSessions")
class CheckoutSession(Document, frozen=True, kw_only=True):
    """A purchase on its way: what the waiting client needs to open the payment page."""

    id: Id[CheckoutSession] = NEW
    user_id: str
    status: CheckoutStatus
    created_at: Millis
    client_secret: str | None = None
    url: str | None = None
    checkout_id: str | None = None
    error: str | None = None
    completed_at: Millis | None = None

    by_user_id = index("user_id")
    by_status = index("status")


BILLING_SETTINGS_ID: Id[BillingSettings] = Id("billing")
"""The settings' one row."""
