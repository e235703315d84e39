"""Polar's documents as far as we read them: lenient about everything else, because providers add fields and values.

Source: Polar API 2026-10; examples of every one of these are in `tests/fixtures/polar`.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import msgspec

from schema.values import Millis, seconds

API_VERSION = "2026-10"
Metadata: TypeAlias = dict[str, str | int | float | bool]

ORDER_EVENTS = frozenset({"order.created", "order.updated", "order.paid", "order.refunded"})
CHECKOUT_EVENTS = frozenset({"checkout.created", "checkout.updated", "checkout.expired"})


class Customer(msgspec.Struct, frozen=True):
    """Who pays, in Polar's words. `external_id` is our user's id where we made the customer."""

    id: str
    external_id: str | None = None
    email: str | None = None
    metadata: Metadata = {}


class Order(msgspec.Struct, frozen=True):
    """A purchase. Amounts are cents; `net_amount` is the price before tax, `refunded_amount` is cumulative and net as well."""

    id: str
    status: str
    created_at: str
    net_amount: int
    modified_at: str | None = None
    refunded_amount: int = 0
    applied_balance_amount: int = 0
    currency: str = "usd"
    billing_reason: str = "purchase"
    customer_id: str | None = None
    product_id: str | None = None
    checkout_id: str | None = None
    metadata: Metadata = {}
    customer: Customer | None = None

    @property
    def seen_at(self) -> Millis:
        """When the order became what it is here."""
        return moment(self.modified_at or self.created_at)


class Checkout(msgspec.Struct, frozen=True):
    """A payment page and how far its visitor has come."""

    id: str
    status: str
    url: str | None = None
    client_secret: str | None = None
    expires_at: str | None = None
    external_customer_id: str | None = None
    metadata: Metadata = {}


class Refund(msgspec.Struct, frozen=True):
    """Money on its way back."""

    id: str
    order_id: str
    status: str
    created_at: str


class Event(msgspec.Struct, frozen=True):
    """A webhook's envelope."""

    type: str
    data: msgspec.Raw = msgspec.Raw(b"{}")


class Pagination(msgspec.Struct, frozen=True):
    """How long a list is."""

    total_count: int = 0
    max_page: int = 1


def moment(text: str) -> Millis:
    """An ISO 8601 time. Raises `ValueError`."""
    return seconds(datetime.fromisoformat(text).timestamp())
