"""What development has bought: checkouts, orders and refunds with Polar's fields, and nobody's money.

Invariant: a checkout is paid at most once and an order is never refunded beyond its price. All of it is in memory, the
newest purchases only, and gone with the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

import msgspec

from schema.values import Millis, hours
from server.providers.polar_wire import Customer, Metadata, moment

MAX_SALES = 1_000
CHECKOUT_LIFETIME = hours(24)

CheckoutStatus: TypeAlias = Literal["open", "succeeded", "expired"]
OrderStatus: TypeAlias = Literal["paid", "partially_refunded", "refunded"]

Address: TypeAlias = Annotated[str, msgspec.Meta(pattern="^https?://", max_length=2_048)]


class Price(msgspec.Struct, frozen=True):
    """An ad-hoc price, made for one checkout."""

    price_amount: Annotated[int, msgspec.Meta(ge=0)]
    price_currency: str = "usd"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkout is asked for with. There is no catalogue here: the request brings the price."""

    products: tuple[str, ...]
    prices: dict[str, tuple[Price, ...]]
    external_customer_id: str | None = None
    customer_email: str | None = None
    customer_name: str | None = None
    success_url: Address | None = None
    return_url: Address | None = None
    embed_origin: Address | None = None
    metadata: Metadata = {}


class DevCheckout(msgspec.Struct, frozen=True, kw_only=True):
    """A payment page, with Polar's fields."""

    id: str
    created_at: str
    modified_at: str | None = None
    status: CheckoutStatus = "open"
    client_secret: str
    url: str
    expires_at: str
    success_url: str | None
    return_url: str | None
    embed_origin: str | None
    amount: int
    discount_amount: int = 0
    net_amount: int
    tax_amount: int | None = None
    total_amount: int
    currency: str
    product_id: str
    customer_id: str | None = None
    customer_name: str | None
    customer_email: str | None
    external_customer_id: str | None
    metadata: Metadata


class DevOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A purchase, with Polar's fields. Nobody is taxed here."""

    id: str
    created_at: str
    modified_at: str
    status: OrderStatus = "paid"
    paid: bool = True
    subtotal_amount: int
    discount_amount: int = 0
    net_amount: int
    tax_amount: int = 0
    total_amount: int
    applied_balance_amount: int = 0
    due_amount: int
    refunded_amount: int = 0
    refunded_tax_amount: int = 0
    refundable_amount: int
    refundable_tax_amount: int = 0
    currency: str
    billing_reason: str = "purchase"
    customer_id: str
    product_id: str
    checkout_id: str
    metadata: Metadata
    customer: Customer


class DevRefund(msgspec.Struct, frozen=True, kw_only=True):
    """Money that went back, with Polar's fields."""

    id: str
    created_at: str
    modified_at: str | None = None
    status: str = "succeeded"
    reason: str = "customer_request"
    amount: int
    tax_amount: int = 0
    currency: str
    order_id: str
    customer_id: str


class Sale(msgspec.Struct, frozen=True):
    """A checkout and what came of it."""

    checkout: DevCheckout
    order: DevOrder | None = None
    refunds: tuple[DevRefund, ...] = ()


class DevPolar:
    """The purchases of this server, by the secret of their payment page. Every change leaves a whole `Sale`."""

    __slots__ = ("_clock", "_mint", "_public_url", "_sales")

    def __init__(self, public_url: str, clock: Callable[[], Millis], mint: Callable[[], str]) -> None:
        self._public_url, self._clock, self._mint = public_url, clock, mint
        self._sales: dict[str, Sale] = {}

    def __repr__(self) -> str:
        return f"<DevPolar {len(self._sales)} of at most {MAX_SALES} purchases, {len(self.orders())} paid>"

    def open(self, wanted: Wanted) -> DevCheckout:
        """A new payment page for the first product, at the first price given for it. Raises `LookupError`."""
        product, now = wanted.products[0], self._clock()
        price, checkout_id, secret = wanted.prices[product][0], self._mint(), f"polar_c_{self._mint()}"
        checkout = DevCheckout(
            id=checkout_id,
            created_at=iso_time(now),
            client_secret=secret,
            url=f"{self._public_url}/dev/checkout/{secret}",
            expires_at=iso_time(now + CHECKOUT_LIFETIME),
            success_url=wanted.success_url and wanted.success_url.replace("{CHECKOUT_ID}", checkout_id),
            return_url=wanted.return_url,
            embed_origin=wanted.embed_origin,
            amount=price.price_amount,
            net_amount=price.price_amount,
            total_amount=price.price_amount,
            currency=price.price_currency,
            product_id=product,
            customer_name=wanted.customer_name,
            customer_email=wanted.customer_email,
            external_customer_id=wanted.external_customer_id,
            metadata=wanted.metadata,
        )
        self._sales[secret] = Sale(checkout)
        while len(self._sales) > MAX_SALES:
            del self._sales[next(iter(self._sales))]
        return checkout

    def sale(self, secret: str) -> Sale | None:
        """What this secret opens."""
        sale = self._sales.get(secret)
        if sale is not None and sale.checkout.status == "open" and moment(sale.checkout.expires_at) <= self._clock():
            return self.expire(secret)
        return sale

    def pay(self, secret: str) -> Sale:
        """Take the money that nobody has. Only an open checkout can be paid; any other stays as it is."""
        sale = self._sales[secret]
        checkout, now = sale.checkout, iso_time(self._clock())
        if checkout.status != "open":
            return sale
        buyer = checkout.external_customer_id
        customer_id = f"customer-{buyer or checkout.id}"
        order = DevOrder(
            id=self._mint(),
            created_at=now,
            modified_at=now,
            subtotal_amount=checkout.amount,
            net_amount=checkout.net_amount,
            total_amount=checkout.total_amount,
            due_amount=checkout.total_amount,
            refundable_amount=checkout.net_amount,
            currency=checkout.currency,
            customer_id=customer_id,
            product_id=checkout.product_id,
            checkout_id=checkout.id,
            metadata=checkout.metadata,
            customer=Customer(customer_id, buyer, checkout.customer_email),
        )
        paid = msgspec.structs.replace(
            checkout, status="succeeded", modified_at=now, customer_id=customer_id, tax_amount=0
        )
        return self._keep(secret, Sale(paid, order))

    def expire(self, secret: str) -> Sale:
        """Nobody will pay this any more, unless it is paid."""
        sale = self._sales[secret]
        if sale.checkout.status != "open":
            return sale
        lapsed = msgspec.structs.replace(sale.checkout, status="expired", modified_at=iso_time(self._clock()))
        return self._keep(secret, Sale(lapsed))

    def refund(self, secret: str, cents: int) -> Sale:
        """Give so much of the price back, or what is left of it. An unpaid checkout stays as it is."""
        sale = self._sales[secret]
        order, now = sale.order, iso_time(self._clock())
        amount = 0 if order is None else min(cents, order.refundable_amount)
        if order is None or amount <= 0:
            return sale
        left = order.refundable_amount - amount
        changed = msgspec.structs.replace(
            order,
            status="partially_refunded" if left else "refunded",
            modified_at=now,
            refunded_amount=order.refunded_amount + amount,
            refundable_amount=left,
        )
        refund = DevRefund(
            id=self._mint(),
            created_at=now,
            amount=amount,
            currency=order.currency,
            order_id=order.id,
            customer_id=order.customer_id,
        )
        return self._keep(secret, Sale(sale.checkout, changed, (*sale.refunds, refund)))

    def checkouts(self) -> Iterator[DevCheckout]:
        """Newest first."""
        for secret in reversed(list(self._sales)):
            sale = self.sale(secret)
            if sale is not None:
                yield sale.checkout

    def orders(self) -> list[DevOrder]:
        """Newest first."""
        paid = [sale.order for sale in reversed(self._sales.values()) if sale.order is not None]
        return sorted(paid, key=lambda order: order.created_at, reverse=True)

    def refunds(self) -> list[DevRefund]:
        """Newest first."""
        given = [refund for sale in reversed(self._sales.values()) for refund in reversed(sale.refunds)]
        return sorted(given, key=lambda refund: refund.created_at, reverse=True)

    def _keep(self, secret: str, sale: Sale) -> Sale:
        self._sales[secret] = sale
        return sale


def iso_time(now: Millis) -> str:
    """A time as Polar writes it."""
    return datetime.fromtimestamp(now / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
