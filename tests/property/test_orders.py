"""Orders under every storm of events: doubled, late, in any order, between spends. Only what is newest counts.

The rules run against a plain model of one member's books; what they must come to is said by a second, simpler one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schema.billing import Payment
from server.functions import order_rules as rules
from server.functions.order_rules import Refunded
from server.providers.polar_wire import Order

START = datetime(2026, 11, 20, tzinfo=UTC)
NET, GRANTED = 1_000, 19
IDS = ("a", "b", "c")
PAID, UPDATED = "order.paid", "order.updated"


class Told(msgspec.Struct, frozen=True):
    """One event: an order as it was at some minute."""

    order_id: str
    minute: int
    status: Literal["paid", "partially_refunded", "refunded"]
    cents: int
    kind: str = UPDATED

    @property
    def order(self) -> Order:
        modified_at = (START + timedelta(minutes=self.minute)).isoformat()
        order = Order(
            id=self.order_id, status=self.status, created_at=START.isoformat(), modified_at=modified_at,
            net_amount=NET, refunded_amount=self.cents,
        )  # fmt: skip
        return rules.dated(order, self.kind)


Happening = Told | Literal["spend", "return"]


class Books:
    """One member: what they have and owe, their payments, and the movements that led there."""

    def __init__(self) -> None:
        self.credits = self.owed = self.spent = 0
        self.payments: dict[str, Payment] = {}
        self.grants: list[str] = []
        self.movements: list[int] = []

    def __repr__(self) -> str:
        return f"<Books {self.credits} credits, {self.owed} owed, {self.spent} spent>"

    def happen(self, happening: Happening) -> None:
        if happening == "spend":
            if self.credits:
                self.spent += 1
                self._move(-1)
        elif happening == "return":
            if self.spent:
                self.spent -= 1
                self._receive(1)
        else:
            self._apply(happening.order)
        assert self.credits == sum(self.movements) >= 0
        assert self.owed >= 0
        assert 0 in (self.credits, self.owed), "who has credits has paid"

    def _apply(self, order: Order) -> None:
        told = rules.refunded(order)
        payment = self.payments.get(order.id)
        if payment is None:
            self.grants.append(order.id)
            self._receive(GRANTED)
            payment = Payment(
                order_id=order.id, user_id="", amount_cents=NET, credits_granted=GRANTED, status="paid",
                created_at=0.0, order_seen_at=told.seen_at,
            )  # fmt: skip
            self.payments[order.id] = payment
        if told <= rules.recorded(payment):
            return
        target = rules.to_revoke(payment, told)
        share = rules.shared(target - payment.credits_revoked, self.credits, self.owed)
        self._move(share.movement)
        self.owed = share.owed
        self.payments[order.id] = msgspec.structs.replace(
            payment, status="refunded" if told.in_full else "paid", refunded_cents=told.cents, credits_revoked=target,
            order_seen_at=told.seen_at,
        )  # fmt: skip

    def _receive(self, amount: int) -> None:
        self._move(amount)
        paid = min(self.owed, amount)
        self._move(-paid)
        self.owed -= paid

    def _move(self, amount: int) -> None:
        self.credits += amount
        self.movements.append(amount)


def truth(events: list[Told]) -> dict[str, Refunded]:
    """The newest state of each order, of equally old ones the one in which most has gone back."""
    return {
        each.order_id: max(rules.refunded(e.order) for e in events if e.order_id == each.order_id) for each in events
    }


AMOUNTS = st.sampled_from(["paid", "refunded"]).map(lambda status: (status, NET if status == "refunded" else 0))
PARTS = st.integers(1, NET - 1).map(lambda cents: ("partially_refunded", cents))
EVENTS: st.SearchStrategy[Told] = st.builds(
    lambda order_id, minute, state, kind: Told(order_id, minute, state[0], state[1], kind),
    st.sampled_from(IDS),
    st.integers(0, 4),
    AMOUNTS | PARTS,
    st.sampled_from([PAID, UPDATED, "order.refunded", "reconcile"]),
)


@given(st.lists(EVENTS | st.sampled_from(["spend", "return"]), max_size=40))
def test_the_books_are_right_after_everything_that_can_happen(happenings: list[Happening]) -> None:
    books = Books()
    for each in happenings:
        books.happen(each)
    events = [each for each in happenings if isinstance(each, Told)]
    newest = truth(events)
    assert sorted(books.grants) == sorted(newest), "each is granted once"
    assert {name: rules.recorded(payment) for name, payment in books.payments.items()} == newest
    revoked = sum(payment.credits_revoked for payment in books.payments.values())
    assert revoked == sum(rules.to_revoke(books.payments[name], state) for name, state in newest.items())
    assert books.credits - books.owed == GRANTED * len(newest) - revoked - books.spent


@given(st.lists(EVENTS, max_size=12).flatmap(lambda events: st.tuples(st.just(events), st.permutations(events * 2))))
def test_neither_their_order_nor_their_number_matters(storm: tuple[list[Told], list[Told]]) -> None:
    straight, shuffled = Books(), Books()
    for books, events in zip((straight, shuffled), storm, strict=True):
        for each in events:
            books.happen(each)
    assert (shuffled.credits, shuffled.owed) == (straight.credits, straight.owed)
    assert shuffled.payments == straight.payments


@given(st.lists(EVENTS, min_size=1, max_size=12))
def test_what_was_told_once_is_no_news(events: list[Told]) -> None:
    books = Books()
    for each in events:
        books.happen(each)
    before = list(books.movements)
    for each in events:
        assert rules.refunded(each.order) <= rules.recorded(books.payments[each.order_id])
        books.happen(each)
    assert books.movements == before
