"""The rules about orders, by tables: whose it is, what was sold, what goes back. Polar's own payloads are in the fixtures."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from schema.billing import BillingSettings, CheckoutSession, Payment
from server.functions import order_rules as rules
from server.functions.order_rules import Offer, Refunded, Share, Standing
from server.providers.polar_wire import Customer, Event, Metadata, Order, moment

FIXTURES = Path(__file__).parents[3] / "fixtures" / "polar"
ANA = "user_2fakeFAKEfakeFAKEfakeFAKE01"
SETTINGS = BillingSettings(pack_price_cents=500, credits_per_pack=420)
SESSION = CheckoutSession(
    user_id="of the session", status="pending", created_at=1.0, packs=3, credits_per_pack=7, amount_cents=900
)
PAYMENT = Payment(
    order_id="order", user_id=ANA, amount_cents=1_000, credits_granted=20, status="paid", created_at=1.0
)  # fmt: skip


def told(name: str) -> Order:
    """The order of a recorded event."""
    event = msgspec.json.decode((FIXTURES / f"{name}.json").read_bytes(), type=Event)
    return msgspec.json.decode(event.data, type=Order)


def order(
    net_amount: int = 1_000, metadata: Metadata | None = None, currency: str = "usd", product_id: str | None = None
) -> Order:
    """An order that nobody has told us more about."""
    return Order(
        id="order", status="paid", created_at="2026-11-20T10:00:04Z", net_amount=net_amount, currency=currency,
        product_id=product_id, metadata=metadata or {},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "is_paid", "seen_at", "in_full", "cents"),
    [
        ("order.created", False, "2026-11-20T10:00:04Z", False, 0),
        ("order.updated", True, "2026-11-20T10:00:05.2Z", False, 0),
        ("order.paid", True, "2026-11-20T10:00:05.2Z", False, 0),
        ("order.refunded.partial", True, "2026-11-21T11:00:00Z", False, 400),
        ("order.refunded.full", True, "2026-11-21T12:00:00Z", True, 1_000),
        ("order.refunded.second_partial_completes", True, "2026-11-21T13:00:00Z", True, 1_000),
    ],
)
def test_what_recorded_orders_say(name: str, is_paid: bool, seen_at: str, in_full: bool, cents: int) -> None:
    found = told(name)
    assert (found.status in rules.PAID) == is_paid
    assert rules.refunded(found) == Refunded(moment(seen_at), in_full, cents)
    assert rules.subject_named(found, None) == ANA
    assert rules.customer_of(found) == "00000000-0000-4000-8000-0000000000d1"
    assert rules.session_named(found) == "fakeLocalSession0001"
    assert rules.decide(found, "member", rules.offered(found, None, SETTINGS), SETTINGS, None) == 20


@pytest.mark.parametrize("status", ["draft", "pending", "void", "something new", "PAID", ""])
def test_only_money_is_money(status: str) -> None:
    assert status not in rules.PAID


@pytest.mark.parametrize(
    ("session", "external_id", "metadata", "of_customer", "expected"),
    [
        (SESSION, "external", {"userId": "told"}, {"userId": "customer's"}, "of the session"),
        (None, "external", {"userId": "told"}, {"userId": "customer's"}, "external"),
        (None, None, {"userId": "told"}, {"userId": "customer's"}, "told"),
        (None, "", {"userId": 7}, {"userId": "customer's"}, "customer's"),
        (None, None, {"userId": "x" * 256}, {"userId": True}, None),
        (None, None, {}, {}, None),
    ],
)
def test_whose_it_is(
    session: CheckoutSession | None,
    external_id: str | None,
    metadata: Metadata,
    of_customer: Metadata,
    expected: str | None,
) -> None:
    bought = msgspec.structs.replace(
        order(metadata=metadata), customer=Customer("customer", external_id=external_id, metadata=of_customer)
    )
    assert rules.subject_named(bought, session) == expected
    assert rules.customer_of(bought) == "customer"


def test_an_order_may_name_nobody() -> None:
    assert rules.subject_named(order(), None) is None
    assert rules.customer_of(order()) is None
    assert rules.session_named(order(metadata={"checkoutSessionId": 7})) is None


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"packs": 2, "creditsPerPack": 10}, Offer(20, 1_000)),
        ({"packs": "2", "creditsPerPack": "10"}, Offer(20, 1_000)),
        ({"packs": 2.0, "creditsPerPack": 10.0}, Offer(20, 1_000)),
        ({"creditsPerPack": 10}, Offer(10, 500)),
        ({"packs": 1_000, "creditsPerPack": 1_000_000}, Offer(10**9, 500_000)),
        ({"packs": 1_001, "creditsPerPack": 10}, None),
        ({"packs": 2, "creditsPerPack": 1_000_001}, None),
        ({"packs": 0, "creditsPerPack": 10}, None),
        ({"packs": -1, "creditsPerPack": 10}, None),
        ({"packs": True, "creditsPerPack": 10}, None),
        ({"packs": 1, "creditsPerPack": True}, None),
        ({"packs": 1.5, "creditsPerPack": 10}, None),
        ({"packs": float("inf"), "creditsPerPack": 10}, None),
        ({"packs": "two", "creditsPerPack": 10}, None),
        ({"packs": "²", "creditsPerPack": 10}, None),
        ({"packs": "-2", "creditsPerPack": 10}, None),
        ({"packs": "9" * 5_000, "creditsPerPack": 10}, None),
        ({"packs": 2}, None),
        ({}, None),
    ],
)
def test_what_metadata_promises(metadata: Metadata, expected: Offer | None) -> None:
    assert rules.offered(order(metadata=metadata), None, SETTINGS) == expected
    assert rules.offered(order(metadata=metadata), SESSION, SETTINGS) == Offer(21, 900), "our record comes first"


OFFER = Offer(20, 1_000)


@pytest.mark.parametrize(
    ("bought", "buyer", "offer", "expected"),
    [
        (order(), "member", OFFER, 20),
        (order(currency="USD"), "member", OFFER, 20),
        (order(999), "member", OFFER, "amount_mismatch"),
        (order(1_001), "member", OFFER, "amount_mismatch"),
        (order(0), "member", OFFER, "amount_mismatch"),
        (order(currency="eur"), "member", OFFER, "amount_mismatch"),
        (order(currency="eur"), "member", Offer(20, 1_000, "eur"), 20),
        (order(), "left", OFFER, "buyer_left"),
        (order(), "unknown", OFFER, "buyer_unknown"),
        (order(500), "member", None, 420),
        (order(1_500, product_id="ours"), "member", None, 1_260),
        (order(500_000), "member", None, 420_000),
        (order(500_500), "member", None, "pack_unknown"),
        (order(501), "member", None, "pack_unknown"),
        (order(0), "member", None, "pack_unknown"),
        (order(-500), "member", None, "pack_unknown"),
        (order(500, currency="eur"), "member", None, "pack_unknown"),
        (order(500, product_id="another"), "member", None, "pack_unknown"),
        (order(product_id="another"), "member", OFFER, 20),
        (msgspec.structs.replace(order(), billing_reason="subscription_cycle"), "unknown", None, "not_a_purchase"),
    ],
)
def test_what_was_sold(bought: Order, buyer: Standing, offer: Offer | None, expected: int | str) -> None:
    product_id = None if bought.product_id is None else "ours"
    assert rules.decide(bought, buyer, offer, SETTINGS, product_id) == expected


def test_a_product_that_the_order_does_not_name_is_not_ours() -> None:
    assert rules.decide(order(500), "member", None, SETTINGS, "ours") == "pack_unknown"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (Refunded(1.0), 0),
        (Refunded(1.0, cents=49), 0),
        (Refunded(1.0, cents=50), 1),
        (Refunded(1.0, cents=400), 8),
        (Refunded(1.0, cents=999), 19),
        (Refunded(1.0, cents=1_000), 20),
        (Refunded(1.0, cents=5_000), 20),
        (Refunded(1.0, in_full=True), 20),
    ],
)
def test_what_goes_back(state: Refunded, expected: int) -> None:
    assert rules.to_revoke(PAYMENT, state) == expected


def test_what_cost_nothing_goes_back_only_as_a_whole() -> None:
    free = msgspec.structs.replace(PAYMENT, amount_cents=0)
    assert rules.to_revoke(free, Refunded(1.0, cents=10)) == 0
    assert rules.to_revoke(free, Refunded(1.0, in_full=True)) == 20


@pytest.mark.parametrize(
    ("delta", "balance", "owed", "expected"),
    [
        (8, 20, 0, Share(-8, 0)),
        (8, 3, 0, Share(-3, 5)),
        (8, 0, 4, Share(0, 12)),
        (0, 5, 2, Share(0, 2)),
        (-8, 0, 0, Share(8, 0)),
        (-8, 0, 5, Share(3, 0)),
        (-5, 0, 8, Share(0, 3)),
    ],
)
def test_the_balance_bears_what_it_can(delta: int, balance: int, owed: int, expected: Share) -> None:
    assert rules.shared(delta, balance, owed) == expected


def test_the_newest_state_is_the_truth() -> None:
    """Also where it is a reversal; of equally old ones it is the one in which the most has gone back."""
    ascending = [
        Refunded(1.0), Refunded(1.0, cents=400), Refunded(1.0, in_full=True, cents=300), Refunded(2.0),
        Refunded(2.0, cents=1),
    ]  # fmt: skip
    assert all(older < newer for older, newer in pairwise(ascending))
    partial, full = told("order.refunded.partial"), told("order.refunded.full")
    assert rules.newest(partial, full) == rules.newest(full, partial) == full


def test_order_paid_is_as_old_as_the_order() -> None:
    paid = told("order.paid")
    assert rules.dated(paid, "order.updated") == paid
    assert rules.refunded(rules.dated(paid, "order.paid")) == Refunded(moment("2026-11-20T10:00:04Z"))


def test_an_age_that_cannot_be_read_is_the_oldest() -> None:
    strange = msgspec.structs.replace(order(), modified_at="yesterday", refunded_amount=-5)
    assert rules.refunded(strange) == Refunded(0.0)


def test_what_is_recorded_is_compared_with_what_is_told() -> None:
    known = msgspec.structs.replace(PAYMENT, status="refunded", refunded_cents=1_000, order_seen_at=5.0)
    assert rules.recorded(known) == Refunded(5.0, in_full=True, cents=1_000)
