"""What payment and identity providers tell us: received webhooks, orders that found no buyer, how far we have asked ourselves."""

from __future__ import annotations

from typing import Literal, TypeAlias

from schema.document import NEW, Document, index, table
from schema.values import Id, Millis

Provider: TypeAlias = Literal["polar", "clerk"]
DeliveryOutcome: TypeAlias = Literal["applied", "skipped", "parked", "ignored"]
ParkReason: TypeAlias = Literal["buyer_unknown", "buyer_left", "amount_mismatch", "not_a_purchase", "pack_unknown"]


@table("deliveries", expires_by="expires_at")
class Delivery(Document, frozen=True, kw_only=True):
    """One received webhook and what it led to. The id is `provider:webhook id`, so the same one counts once.

    The body is not kept: it holds a buyer's name and address, and its provider keeps it for as long as anybody asks.
    """

    id: Id[Delivery] = NEW
    provider: Provider
    kind: str
    subject: str
    outcome: DeliveryOutcome
    received_at: Millis
    expires_at: Millis

    by_provider_and_received = index("provider", "received_at")


@table("parkedOrders")
class ParkedOrder(Document, frozen=True, kw_only=True):
    """A paid order that we could not give to anybody: it waits for an administrator and is never dropped.

    `credits` is what it seems to be worth, where the order says so. `order` is the order as last received, in the fields that
    we read, as JSON: what an administrator decides is applied to it like any other order.
    """

    id: Id[ParkedOrder] = NEW
    order_id: str
    reason: ParkReason
    amount_cents: int
    currency: str
    order: str
    created_at: Millis
    credits: int | None = None
    customer_id: str | None = None
    customer_email: str | None = None

    by_order_id = index("order_id", unique=True)
    by_created = index("created_at")


@table("reconciliations")
class Reconciliation(Document, frozen=True, kw_only=True):
    """How far we have compared our payments with the provider's orders. One row; `found` counts what no webhook had told us."""

    id: Id[Reconciliation] = NEW
    reached_at: Millis
    ran_at: Millis
    found: int = 0


RECONCILIATION_ID: Id[Reconciliation] = Id("polar")
"""The comparison's one row."""
