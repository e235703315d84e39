"""The story of lost webhooks: what Polar knows and we do not is asked for, brought once, and never skipped over."""

from __future__ import annotations

import itertools
import json
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import pytest
from pymongo import AsyncMongoClient

from jobs.outcome import Broken, Done, Outcome, Transient
from schema.billing import BILLING_SETTINGS_ID, BillingSettings, CheckoutSession, LedgerEntry, Payment
from schema.deliveries import RECONCILIATION_ID, ParkedOrder, Reconciliation
from schema.document import Document, Range
from schema.system import Job
from schema.users import User
from schema.values import Id, Millis, days, hours, minutes, seconds
from schema.writer import Writer
from server.auth.grants import SignedCursors
from server.database import Database
from server.functions import ledger
from server.functions.checkout import Shop, wanted_for
from server.functions.checkout_states import EXPIRED
from server.functions.orders import apply_order
from server.functions.reconciling import FIRST_LOOK_BACK, MAX_UNDECIDED, OVERDUE_AFTER, ReconcileOrders, Reconciler
from server.providers.polar import PolarClient
from server.providers.polar_outcomes import BUSY, TROUBLE, UNAVAILABLE
from server.providers.polar_wire import Order
from server.store.mongo import MongoStore
from server.store.setup import set_up
from server.work import RECONCILE_ORDERS
from tests.support.feed import MovableClock
from tests.support.live import world_client
from tests.support.polar import PRODUCT, TOKEN, Json, PolarSite, Scenario, fails, polar_site, told
from tests.support.world import open_world

D = TypeVar("D", bound=Document)
T = TypeVar("T")

NOW: Millis = 1_795_000_000_000.0
MANY = 1_000
TRIAL = 10
JOB = Job(
    id=Id("reconcile"), kind=RECONCILE_ORDERS.kind, subject=RECONCILE_ORDERS.kind, arguments="{}", state="leased",
    attempt=1, max_attempts=1, due_at=NOW, created_at=NOW,
)  # fmt: skip

_numbers = itertools.count()


class Books:
    """Our books and Polar's, a clock for both, and nobody who listens to webhooks."""

    def __init__(self, database: Database, polar: PolarSite, client: PolarClient, clock: MovableClock) -> None:
        self.database, self.polar, self.client, self.clock = database, polar, client, clock

    async def commit(self, work: Callable[[Writer], Awaitable[T]]) -> T:
        return (await self.database.transact(work))[0]

    async def found(self, range_: Range[D]) -> list[D]:
        return await (await self.database.newest()).take(range_, MANY)

    async def reconcile(self, *, max_pages: int = 50) -> Reconciliation:
        """Compare once; how far it got."""
        reconciler = Reconciler(self.database, self.client, product_id=PRODUCT, clock=self.clock, max_pages=max_pages)
        await reconciler.reconcile(JOB)
        row = await (await self.database.newest()).get(Reconciliation, RECONCILIATION_ID)
        assert row is not None
        return row

    async def session(self, *, is_opened: bool = True, age: Millis = 0.0) -> tuple[CheckoutSession, Json]:
        """A pending purchase of a new member, at the price of this moment, and its page."""
        subject = f"member-{next(_numbers)}"

        async def begin(db: Writer) -> CheckoutSession:
            await ledger.ensure_user(db, subject)
            settings = await ledger.billing_settings(db)
            return await db.insert(
                CheckoutSession(
                    user_id=subject, status="pending", created_at=self.clock.now - age, packs=1,
                    credits_per_pack=settings.credits_per_pack, amount_cents=settings.pack_price_cents,
                )
            )  # fmt: skip

        session = await self.commit(begin)
        wanted = msgspec.json.encode(wanted_for(session, Shop(PRODUCT, "https://anime.example")))
        page = self.polar.open(json.loads(wanted))
        if is_opened:

            async def offer(db: Writer) -> CheckoutSession:
                return await db.patch(await db.need(CheckoutSession, session.id), checkout_id=page["id"])

            session = await self.commit(offer)
        return session, page

    async def paid(self, ago: Millis = 0.0, **changes: Json) -> tuple[CheckoutSession, Json]:
        """A purchase of which only Polar knows that it was paid."""
        session, page = await self.session()
        return session, self.polar.pay(page, self.clock.now - ago, **changes)

    async def status(self, session: CheckoutSession) -> tuple[str, str | None]:
        """How far a purchase is."""
        kept = await (await self.database.newest()).get(CheckoutSession, session.id)
        assert kept is not None
        return kept.status, kept.error

    async def credits_of(self, subject: str) -> int:
        """A member's balance, which agrees with the ledger."""
        (user,) = await self.found(User.by_user_id.eq(user_id=subject))
        entries = await self.found(LedgerEntry.by_user_and_created.eq(user_id=subject))
        assert user.credits == sum(entry.amount for entry in entries)
        return user.credits


@pytest.fixture(scope="module")
async def shared_books(mongod_uri: str) -> AsyncIterator[Books]:
    clock = MovableClock(NOW)
    async with AsyncMongoClient[dict[str, Any]](mongod_uri) as mongo, polar_site() as polar:
        store = MongoStore(mongo, f"reconcile_{secrets.token_hex(4)}")
        await set_up(store.database)
        client = PolarClient(polar.url, TOKEN, trust_env=False)
        yield Books(Database(store, SignedCursors(b"k" * 32), clock), polar, client, clock)
        await client.aclose()
        await mongo.drop_database(store.database.name)


@pytest.fixture
async def books(shared_books: Books) -> Books:
    """Nothing was ever compared, and nothing is on sale or pending."""

    async def forget(db: Writer) -> None:
        left: list[Document | None] = [
            await db.get(Reconciliation, RECONCILIATION_ID),
            await db.get(BillingSettings, BILLING_SETTINGS_ID),
            *await db.take(CheckoutSession.by_status.eq(status="pending"), MANY),
        ]
        for row in left:
            if row is not None:
                await db.delete(row)

    await shared_books.commit(forget)
    shared_books.polar.clear()
    shared_books.clock.now = NOW
    return shared_books


# --- what was missed -------------------------------------------------------------------------------------------------


async def test_a_missing_order_is_brought_once(books: Books) -> None:
    session, order = await books.paid()
    row = await books.reconcile()
    assert (row.found, row.ran_at, row.reached_at) == (1, NOW, NOW)
    assert await books.credits_of(session.user_id) == TRIAL + 420
    assert await books.status(session) == ("completed", None)
    (payment,) = await books.found(Payment.by_user_id.eq(user_id=session.user_id))
    assert (payment.order_id, payment.amount_cents, payment.checkout_session_id) == (order["id"], 500, session.id)

    books.clock.advance(minutes(10))
    assert (await books.reconcile()).found == 1
    assert await books.credits_of(session.user_id) == TRIAL + 420
    assert await books.found(Payment.by_user_id.eq(user_id=session.user_id)) == [payment]


async def test_a_missing_refund_is_brought_once(books: Books) -> None:
    session, order = await books.paid()
    await books.reconcile()
    books.clock.advance(days(20))
    await books.reconcile()
    books.polar.refund(order, 250, books.clock.now)
    books.clock.advance(minutes(5))
    asked = books.polar.count("order")
    for _ in range(2):
        assert (await books.reconcile()).found == 2
        assert await books.credits_of(session.user_id) == TRIAL + 210
    assert books.polar.count("order") == asked + 2
    books.polar.refund(order, 250, books.clock.now)
    assert (await books.reconcile()).found == 3
    assert await books.credits_of(session.user_id) == TRIAL
    (payment,) = await books.found(Payment.by_user_id.eq(user_id=session.user_id))
    assert (payment.status, payment.credits_revoked) == ("refunded", 420)


async def test_a_new_order_that_was_refunded_already_is_asked_for_once(books: Books) -> None:
    session, order = await books.paid(hours(1))
    books.polar.refund(order, 500, NOW)
    assert (await books.reconcile()).found == 1
    assert await books.credits_of(session.user_id) == TRIAL
    assert books.polar.count("order") == 0


async def test_what_a_webhook_brought_is_no_news(books: Books) -> None:
    session, order = await books.paid()
    told_before = msgspec.convert(order, Order)
    await books.commit(lambda db: apply_order(db, told_before, "order.paid", product_id=PRODUCT))
    assert (await books.reconcile()).found == 0
    assert await books.credits_of(session.user_id) == TRIAL + 420


async def test_what_was_offered_is_granted_whatever_it_costs_now(books: Books) -> None:
    session, page = await books.session()
    dearer = BillingSettings(id=BILLING_SETTINGS_ID, pack_price_cents=9_900, credits_per_pack=1)
    await books.commit(lambda db: db.insert(dearer))
    books.polar.pay(page, NOW)
    await books.reconcile()
    assert await books.credits_of(session.user_id) == TRIAL + 420
    assert await books.status(session) == ("completed", None)


async def test_an_order_of_nobody_waits_for_an_administrator_and_is_no_news_twice(books: Books) -> None:
    session, order = await books.paid(net_amount=7)
    for _ in range(2):
        await books.reconcile()
    (parked,) = await books.found(ParkedOrder.by_order_id.eq(order_id=order["id"]))
    assert parked.reason == "amount_mismatch"
    assert await books.credits_of(session.user_id) == TRIAL


# --- how far it reaches ----------------------------------------------------------------------------------------------


async def test_the_first_time_a_month_is_looked_at(books: Books) -> None:
    old, _ = await books.paid(FIRST_LOOK_BACK + days(1))
    young, _ = await books.paid(FIRST_LOOK_BACK - days(1))
    assert (await books.reconcile()).found == 1
    assert await books.credits_of(young.user_id) == TRIAL + 420
    assert await books.credits_of(old.user_id) == TRIAL


async def test_later_only_what_is_new_and_an_hour_more(books: Books) -> None:
    await books.reconcile()
    books.clock.advance(days(1))
    late, _ = await books.paid(days(1) + minutes(59))
    past, _ = await books.paid(days(1) + minutes(61))
    assert (await books.reconcile()).found == 1
    assert await books.credits_of(late.user_id) == TRIAL + 420
    assert await books.credits_of(past.user_id) == TRIAL


async def test_pages_are_turned_as_far_as_needed(books: Books) -> None:
    sessions = [(await books.paid(minutes(each)))[0] for each in range(7)]
    books.polar.page_items = 2
    assert (await books.reconcile()).found == 7
    assert [await books.credits_of(each.user_id) for each in sessions] == [TRIAL + 420] * 7
    assert books.polar.count("orders") == 4
    books.clock.advance(hours(2))
    await books.reconcile()
    asked = books.polar.count("orders")
    await books.reconcile()
    assert books.polar.count("orders") == asked + 1, "the first page says that there is nothing new"


async def test_what_could_not_be_read_in_one_go_is_not_skipped(books: Books, caplog: pytest.LogCaptureFixture) -> None:
    sessions = [(await books.paid(minutes(each)))[0] for each in range(7)]
    books.polar.page_items = 2
    row = await books.reconcile(max_pages=3)
    assert (row.found, row.reached_at, row.ran_at) == (6, NOW - FIRST_LOOK_BACK, NOW)
    assert "more than can be read" in caplog.text
    assert await books.credits_of(sessions[6].user_id) == TRIAL
    row = await books.reconcile(max_pages=4)
    assert (row.found, row.reached_at) == (7, NOW)
    assert await books.credits_of(sessions[6].user_id) == TRIAL + 420


async def test_an_order_that_is_not_paid_yet_is_come_back_to(books: Books) -> None:
    session, order = await books.paid(status="pending", paid=False)
    assert (await books.reconcile()).found == 0
    books.clock.advance(days(3))
    row = await books.reconcile()
    assert (row.found, row.reached_at) == (0, NOW)
    order["status"] = "paid"
    row = await books.reconcile()
    assert (row.found, row.reached_at) == (1, books.clock.now)
    assert await books.credits_of(session.user_id) == TRIAL + 420


async def test_an_order_that_is_never_paid_is_given_up_after_a_while(books: Books) -> None:
    await books.paid(status="pending", paid=False)
    assert (await books.reconcile()).reached_at == NOW
    books.clock.advance(MAX_UNDECIDED + hours(1))
    assert (await books.reconcile()).reached_at == books.clock.now


async def test_what_nobody_can_read_costs_only_itself(books: Books, caplog: pytest.LogCaptureFixture) -> None:
    first, _ = await books.paid(minutes(2))
    _, strange = await books.paid(minutes(1))
    last, _ = await books.paid()
    strange["net_amount"] = "a lot"
    assert (await books.reconcile()).found == 2
    assert "cannot be read" in caplog.text
    assert [await books.credits_of(each.user_id) for each in (first, last)] == [TRIAL + 420] * 2


async def test_an_order_without_a_time_is_applied(books: Books) -> None:
    session, order = await books.paid()
    order["created_at"] = "one fine day"
    assert (await books.reconcile()).found == 1
    assert await books.credits_of(session.user_id) == TRIAL + 420


# --- payment pages ---------------------------------------------------------------------------------------------------


async def test_pending_purchases_are_asked_for_after_a_minute(books: Books) -> None:
    (young, a), (old, b), (lapsed, c), (open_, _) = [
        await books.session(age=age) for age in (seconds(30), minutes(2), hours(25), hours(25))
    ]
    a["status"] = b["status"] = "succeeded"
    c["status"] = "expired"
    await books.reconcile()
    assert [await books.status(each) for each in (young, old, lapsed, open_)] == [
        ("pending", None), ("completed", None), ("failed", EXPIRED), ("pending", None),
    ]  # fmt: skip
    assert books.polar.count("checkout") == 3


async def test_after_two_days_nobody_waits_any_more(books: Books) -> None:
    age = OVERDUE_AFTER + minutes(1)
    (open_, _), (paid, page), (nameless, _) = (
        await books.session(age=age), await books.session(age=age), await books.session(age=age, is_opened=False),
    )  # fmt: skip
    unknown, gone = await books.session(age=age)
    page["status"] = "succeeded"
    books.polar.checkouts.remove(gone)
    await books.reconcile()
    assert [await books.status(each) for each in (open_, paid, nameless, unknown)] == [
        ("failed", EXPIRED), ("completed", None), ("failed", EXPIRED), ("failed", EXPIRED),
    ]  # fmt: skip


# --- while Polar is away ---------------------------------------------------------------------------------------------


async def run(books: Books, *, is_optional: bool = False, client: PolarClient | None = None) -> Outcome:
    """One job of the kind, as the loop runs it."""
    reconciler = Reconciler(books.database, client or books.client, product_id=PRODUCT, clock=books.clock)
    return await ReconcileOrders(RECONCILE_ORDERS, reconciler, is_optional=is_optional).run(JOB)


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (fails(500), Transient(TROUBLE)),
        (fails(429, retry_after="11"), Transient(BUSY, seconds(11))),
        (told("error.401"), Broken(UNAVAILABLE)),
    ],
    ids=["500", "429", "401"],
)
async def test_what_fails_is_tried_again_and_nothing_is_lost(
    books: Books, scenario: Scenario, expected: Outcome
) -> None:
    session, _ = await books.paid()
    books.polar.will("refunds", scenario)
    assert await run(books) == expected
    assert await books.credits_of(session.user_id) == TRIAL + 420, "what was applied stays applied"
    assert isinstance(await run(books), Done)
    row = await books.reconcile()
    assert (row.found, row.reached_at) == (1, NOW)


async def test_in_development_there_may_be_nobody_to_ask(books: Books, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = PolarClient(f"http://127.0.0.1:{closed.getsockname()[1]}", TOKEN, trust_env=False)
        with caplog.at_level(logging.INFO, "anime.reconcile"):
            assert isinstance(await run(books, is_optional=True, client=nobody), Done)
        assert isinstance(await run(books, client=nobody), Transient)
        await nobody.aclose()
    assert "no development checkout" in caplog.text
    books.polar.will("orders", told("error.404"), fails(500))
    assert isinstance(await run(books, is_optional=True), Done)
    assert await run(books, is_optional=True) == Transient(TROUBLE)


# --- a whole product -------------------------------------------------------------------------------------------------


async def test_a_product_that_starts_asks_for_what_it_has_missed(mongod_uri: str) -> None:
    async with polar_site() as polar:
        page = polar.open({
            "products": [PRODUCT], "prices": {PRODUCT: [{"price_amount": 500}]}, "success_url": "",
            "external_customer_id": "ana", "metadata": {"userId": "ana", "packs": 1, "creditsPerPack": 42},
        })  # fmt: skip
        polar.pay(page)
        async with (
            open_world(
                mongod_uri, POLAR_ACCESS_TOKEN=TOKEN, POLAR_PRODUCT_ID=PRODUCT, POLAR_BASE_URL=polar.url
            ) as world,
            world_client(world, "ana") as ana,
        ):
            balance = await ana.watch("users:getCurrentUserCredits")
            assert (await balance.until(lambda value: value["credits"] > TRIAL))["credits"] == TRIAL + 42
