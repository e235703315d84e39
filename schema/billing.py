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


@table("ledgerAudits")
class LedgerAudit(Document, frozen=True, kw_only=True):
    """What the last audit of the ledger found. One row.

    `differences` has a word for each, which says who differs by how much; `acknowledged` are those that an operator has looked
    at: they alarm nobody again, also when one of them is put right, and any other does.
    """

    id: Id[LedgerAudit] = NEW
    audited_at: Millis
    imbalanced: int
    differences: str
    acknowledged: str | None = None

    @property
    def has_failed(self) -> bool:
        """Are there differences that nobody has looked at?"""
        return not set(self.differences.split()) <= set((self.acknowledged or "").split())


LEDGER_AUDIT_ID: Id[LedgerAudit] = Id("ledger")
"""The audit's one row."""


@table("payments")
class Payment(Document, frozen=True, kw_only=True):
    """A paid order, once per order id; partly refunded it is still `paid`, with `refunded_cents` above zero.

    `credits_revoked` is what its refunds take back in all, whether the balance could bear it or it is owed. `movements` counts
    the refund's ledger entries and numbers their keys. `order_seen_at` is the age of the order that was last applied.
    """

    id: Id[Payment] = NEW
    order_id: str
    user_id: str
    amount_cents: int
    credits_granted: int
    status: PaymentStatus
    created_at: Millis
    currency: str = "usd"
    refunded_cents: int = 0
    credits_revoked: int = 0
    movements: int = 0
    order_seen_at: Millis = 0.0
    checkout_session_id: Id[CheckoutSession] | None = None

    by_order_id = index("order_id", unique=True)
    by_user_id = index("user_id")
    by_user_and_created = index("user_id", "created_at")
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
    """A purchase on its way: what was offered at which price, and what the waiting client needs to open the payment page.

    What was offered is what is granted, whatever the settings have become when the payment arrives.
    """

    id: Id[CheckoutSession] = NEW
    user_id: str
    status: CheckoutStatus
    created_at: Millis
    packs: int
    credits_per_pack: int
    amount_cents: int
    currency: str = "usd"
    success_url: str | None = None
    embed_origin: str | None = None
    customer_email: str | None = None
    customer_name: str | None = None
    client_secret: str | None = None
    url: str | None = None
    checkout_id: str | None = None
    error: str | None = None
    completed_at: Millis | None = None

    by_user_id = index("user_id")
    by_status = index("status")
    by_status_and_created = index("status", "created_at")
    by_checkout = index("checkout_id")


BILLING_SETTINGS_ID: Id[BillingSettings] = Id("billing")
"""The settings' one row."""
