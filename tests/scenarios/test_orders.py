"""The story of money: an order grants once and takes back once, whatever is told how often and in which order."""

from __future__ import annotations

import asyncio
from itertools import count, permutations
from pathlib import Path

import msgspec
import pytest

from schema.billing import CheckoutSession, LedgerEntry, Payment
from schema.deliveries import ParkedOrder, ParkReason
from schema.errors import NotUnique
from schema.moderation import AuditEntry
from schema.users import User
from schema.values import Scalar
from server.functions.orders import PaymentResult, apply_order
from server.ids import capability_id
from server.providers.polar_wire import Event, Metadata, Order
from tests.scenarios.conftest import Meet
from tests.scenarios.stock import change, commit, found, give, member, now, one, paged, put
from tests.scenarios.test_credits import CREDITS, check_books
from tests.scenarios.test_leaving import LEAVE, gone, workless_world
from tests.support.live import LiveClient, Refusal, Value, world_client
from tests.support.world import World

FIXTURES = Path(__file__).parents[1] / "fixtures" / "polar"
PAID, UPDATED, REFUNDED = "order.paid", "order.updated", "order.refunded"
HISTORY = "users:getCreditHistory"
PARKED = "admin:getParkedOrders"
ASSIGN = "admin:assignParkedOrder"
SKIPPED = PaymentResult(0, skipped=True, outcome="skipped")
APPLIED = PaymentResult(0, skipped=False, outcome="applied")
PARKED_NOW = PaymentResult(0, skipped=False, outcome="parked")
STILL_PARKED = PaymentResult(0, skipped=True, outcome="parked")
AT_ONCE = 8
MAX_TRIES = 10

_customers = count()


def granted(credits: int) -> PaymentResult:  # noqa: A002
    return PaymentResult(credits, skipped=False, outcome="applied")


class Purchase:
    """One order of twenty credits for ten dollars, with Polar's payloads for what becomes of it."""

    def __init__(
        self, subject: str | None, *, metadata: Metadata | None = None, checkout_id: str | None = None, net: int = 1_000
    ) -> None:
        self.subject, self.checkout_id, self.net = subject, checkout_id, net
        self.id, self.customer_id = capability_id(), f"customer-{next(_customers)}-{capability_id()}"
        self.metadata: Metadata = {"packs": 2, "creditsPerPack": 10} if metadata is None else metadata

    def __repr__(self) -> str:
        return f"<Purchase {self.id} of {self.subject}>"

    def order(self, name: str = PAID, **changes: str | int | None) -> Order:
        """This order, as the recorded event of this name would tell it."""
        event = msgspec.json.decode((FIXTURES / f"{name}.json").read_bytes(), type=Event)
        told = msgspec.json.decode(event.data, type=Order)
        assert told.customer is not None
        customer = msgspec.structs.replace(
            told.customer, id=self.customer_id, external_id=self.subject, metadata={}
        )  # fmt: skip
        told = msgspec.structs.replace(
            told, id=self.id, customer=customer, customer_id=self.customer_id, checkout_id=self.checkout_id,
            metadata=self.metadata, net_amount=self.net,
        )  # fmt: skip
        return msgspec.structs.replace(told, **changes)

    @property
    def paid(self) -> Order:
        return self.order()

    @property
    def partial(self) -> Order:
        return self.order("order.refunded.partial")

    @property
    def full(self) -> Order:
        return self.order("order.refunded.full")

    @property
    def reversed(self) -> Order:
        """All refunds have failed after all, later than anything else."""
        return self.order(UPDATED, modified_at="2026-11-22T12:00:00Z")


async def tell(world: World, order: Order, kind: str = UPDATED, product_id: str | None = None) -> PaymentResult:
    """One event, as the webhook applies it."""
    for _ in range(MAX_TRIES):
        try:
            return await commit(world, lambda db: apply_order(db, order, kind, product_id=product_id))
        except NotUnique:
            continue
    raise AssertionError("somebody else was always faster")


async def payment_of(world: World, purchase: Purchase) -> Payment:
    (payment,) = await found(world, Payment.by_order_id.eq(order_id=purchase.id))
    return payment


async def parked_of(world: World, purchase: Purchase) -> list[ParkedOrder]:
    return list(await found(world, ParkedOrder.by_order_id.eq(order_id=purchase.id)))


async def movements(world: World, subject: str | None) -> list[tuple[str, int]]:
    entries = await found(world, LedgerEntry.by_user_and_created.eq(user_id=subject))
    return [(entry.kind, entry.amount) for entry in entries]


async def broke(world: World, person: LiveClient) -> str:
    """The subject of someone who has an account and nothing in it."""
    subject = str(person.subject)
    await give(world, subject, 0)
    return subject


async def session_of(world: World, subject: str, **changes: Scalar) -> CheckoutSession:
    session = CheckoutSession(
        user_id=subject, status="pending", created_at=now(), packs=3, credits_per_pack=7, amount_cents=900
    )
    (stored,) = await put(world, msgspec.structs.replace(session, **changes))
    return stored


@pytest.mark.parametrize(
    ("name", "kind"),
    [(PAID, PAID), (UPDATED, UPDATED), (PAID, "order.created"), (UPDATED, "reconcile"), (PAID, "order.refunded")],
)
async def test_money_is_granted_whichever_event_tells_of_it(town: World, meet: Meet, name: str, kind: str) -> None:
    async with meet("ana") as ana:
        subject = await broke(town, ana)
        credit = await ana.watch(CREDITS)
        purchase = Purchase(subject)
        assert await tell(town, purchase.order(name), kind) == granted(20)
        await credit.until(lambda value: value == {"credits": 20, "hasFreeTrial": False})
        (line, *_) = (await ana.query_once(HISTORY, **paged()))["page"]
        assert (line["kind"], line["amount"], line["orderId"]) == ("order", 20, purchase.id)
        payment = await payment_of(town, purchase)
        assert (payment.user_id, payment.amount_cents, payment.credits_granted) == (subject, 1_000, 20)
        assert (payment.status, payment.currency, payment.refunded_cents) == ("paid", "usd", 0)
        assert (await member(town, subject)).polar_customer_id == purchase.customer_id
        await check_books(town, subject, 20)


async def test_what_is_told_again_changes_nothing(town: World, meet: Meet) -> None:
    async with meet("ana") as ana:
        subject, purchase = await broke(town, ana), Purchase(str(ana.subject))
        assert await tell(town, purchase.paid, PAID) == granted(20)
        assert await tell(town, purchase.order(UPDATED)) == SKIPPED
        before = await payment_of(town, purchase), await member(town, subject)
        for order, kind in ((purchase.paid, PAID), (purchase.paid, UPDATED), (purchase.paid, "reconcile")):
            assert await tell(town, order, kind) == SKIPPED
        assert (await payment_of(town, purchase), await member(town, subject)) == before
        await check_books(town, subject, 20)


@pytest.mark.parametrize("status", ["draft", "pending", "void", "a word of the future"])
async def test_nothing_is_granted_before_there_is_money(town: World, meet: Meet, status: str) -> None:
    async with meet("ana") as ana:
        subject, purchase = await broke(town, ana), Purchase(str(ana.subject))
        ignored = PaymentResult(0, skipped=True, outcome="ignored")
        assert await tell(town, purchase.order("order.created", status=status), "order.created") == ignored
        assert await tell(town, purchase.order(status=status), PAID) == ignored
        assert await parked_of(town, purchase) == []
        assert await tell(town, purchase.paid, PAID) == granted(20)
        assert await tell(town, purchase.order(status=status), PAID) == ignored, "it is late, and takes nothing away"
        await check_books(town, subject, 20)


async def test_a_refund_is_followed_in_whole_and_in_parts(town: World, meet: Meet) -> None:
    async with meet("ana") as ana:
        subject, purchase = await broke(town, ana), Purchase(str(ana.subject))
        credit = await ana.watch(CREDITS)
        await tell(town, purchase.paid, PAID)
        assert await tell(town, purchase.partial, UPDATED) == APPLIED
        assert await tell(town, purchase.partial, REFUNDED) == SKIPPED
        payment = await payment_of(town, purchase)
        assert (payment.status, payment.refunded_cents, payment.credits_revoked) == ("paid", 400, 8)
        assert await tell(town, purchase.order("order.refunded.second_partial_completes"), REFUNDED) == APPLIED
        assert await tell(town, purchase.partial, REFUNDED) == SKIPPED, "it is late"
        assert await tell(town, purchase.paid, PAID) == SKIPPED
        payment = await payment_of(town, purchase)
        assert (payment.status, payment.refunded_cents, payment.credits_revoked) == ("refunded", 1_000, 20)
        assert [value["credits"] for value in credit.values] == [0, 20, 12, 0]
        history = (await ana.query_once(HISTORY, **paged()))["page"]
        assert [(each["kind"], each["amount"], each["orderId"]) for each in history[:3]] == [
            ("order_refund", -12, purchase.id),
            ("order_refund", -8, purchase.id),
            ("order", 20, purchase.id),
        ]
        keys = [each.key for each in await found(town, LedgerEntry.by_user_and_created.eq(user_id=subject))]
        assert keys[-3:] == [f"order:{purchase.id}", *(f"order_refund:{purchase.id}:{number}" for number in (1, 2))]
        await check_books(town, subject, 0)
        assert (await member(town, subject)).credits_owed is None


async def test_a_refund_may_be_told_before_its_payment(town: World, meet: Meet) -> None:
    async with meet("ana") as ana:
        subject, whole, part = await broke(town, ana), Purchase(str(ana.subject)), Purchase(str(ana.subject))
        credit = await ana.watch(CREDITS)
        assert await tell(town, whole.full, REFUNDED) == granted(20)
        assert await tell(town, whole.paid, PAID) == SKIPPED
        assert (await movements(town, subject))[-2:] == [("order", 20), ("order_refund", -20)]
        assert {value["credits"] for value in credit.values} == {0}, "nobody has seen it come and go"
        assert await tell(town, part.partial, REFUNDED) == granted(20)
        assert await tell(town, part.paid, PAID) == SKIPPED
        await check_books(town, subject, 12)


async def test_a_refund_that_is_taken_back_gives_again(town: World, meet: Meet) -> None:
    async with meet("ana") as ana:
        subject, purchase = await broke(town, ana), Purchase(str(ana.subject))
        for order, balance in (
            (purchase.paid, 20), (purchase.full, 0), (purchase.reversed, 20), (purchase.full, 20),
        ):  # fmt: skip
            await tell(town, order)
            await check_books(town, subject, balance)
        payment = await payment_of(town, purchase)
        assert (payment.status, payment.refunded_cents, payment.credits_revoked) == ("paid", 0, 0)
        assert payment.movements == 2


async def test_a_late_order_paid_never_takes_a_refund_back(town: World, meet: Meet) -> None:
    async with meet("ana") as ana:
        subject, purchase = await broke(town, ana), Purchase(str(ana.subject))
        await tell(town, purchase.paid, PAID)
        await tell(town, purchase.full, REFUNDED)
        assert await tell(town, purchase.order(modified_at="2026-12-24T12:00:00Z"), PAID) == SKIPPED
        assert await tell(town, purchase.order(modified_at=purchase.full.modified_at), UPDATED) == SKIPPED
        await check_books(town, subject, 0)


async def test_the_end_does_not_depend_on_the_order_of_arrival(town: World, meet: Meet) -> None:
    ends = set()
    async with meet("ana") as ana:
        subject = await broke(town, ana)
        for arrival in permutations(range(4)):
            purchase = Purchase(subject)
            told = [
                (purchase.paid, PAID),
                (purchase.partial, REFUNDED),
                (purchase.full, REFUNDED),
                (purchase.reversed, UPDATED),
            ]
            for number in (*arrival, arrival[0]):
                await tell(town, *told[number])
            user, payment = await member(town, subject), await payment_of(town, purchase)
            ends.add((payment.status, payment.refunded_cents, payment.credits_revoked, user.credits_owed))
            await check_books(town, subject, 20)
            await give(town, subject, 0)
    assert ends == {("paid", 0, 0, None)}


async def test_eight_tell_of_one_order_at_once(town: World, meet: Meet) -> None:
    async with meet("ana") as ana, meet("ben") as ben:
        subject = await broke(town, ana)
        newcomer = str(ben.subject)  # without an account yet, which these make too
        for buyer, before in ((subject, 0), (newcomer, 10)):
            purchase = Purchase(buyer)
            events = [(purchase.paid, PAID), (purchase.order(UPDATED), UPDATED), (purchase.partial, REFUNDED)] * AT_ONCE
            results = await asyncio.gather(*(tell(town, *each) for each in events[:AT_ONCE]))
            assert sorted(each.granted for each in results) == [0] * (AT_ONCE - 1) + [20]
            kinds = [kind for kind, _ in await movements(town, buyer)]
            assert (kinds.count("order"), kinds.count("order_refund")) == (1, 1)
            await check_books(town, buyer, before + 12)


async def test_eight_park_one_order_at_once(town: World) -> None:
    purchase = Purchase(None)
    results = await asyncio.gather(*(tell(town, purchase.paid, PAID) for _ in range(AT_ONCE)))
    assert (results.count(PARKED_NOW), results.count(STILL_PARKED)) == (1, AT_ONCE - 1)
    assert len(await parked_of(town, purchase)) == 1


async def test_what_was_parked_while_it_was_granted_waits_no_longer(town: World, meet: Meet) -> None:
    async with meet("ana") as ana:
        subject, stranger = await broke(town, ana), Purchase(None)
        await tell(town, stranger.full, REFUNDED)
        (parked,) = await parked_of(town, stranger)
        purchase = Purchase(subject)
        await tell(town, purchase.paid, PAID)
        await change(town, ParkedOrder, parked.id, order_id=purchase.id)
        assert await tell(town, purchase.paid, PAID) == APPLIED, "and what it knew of the refund is not lost"
        assert await parked_of(town, purchase) == []
        await check_books(town, subject, 0)


async def test_two_orders_of_one_member_at_once(town: World, meet: Meet) -> None:
    async with meet("ana") as ana:
        subject = await broke(town, ana)
        purchases = [Purchase(subject) for _ in range(AT_ONCE)]
        results = await asyncio.gather(*(tell(town, each.paid, PAID) for each in purchases))
        assert results == [granted(20)] * AT_ONCE
        await check_books(town, subject, 20 * AT_ONCE)


async def test_a_shortfall_is_settled_by_what_is_granted_next(town: World, meet: Meet) -> None:
    async with meet("ana") as ana:
        subject = await broke(town, ana)
        first, second, third = (Purchase(subject) for _ in range(3))
        await tell(town, first.paid, PAID)
        await give(town, subject, 5)
        assert await tell(town, first.full, REFUNDED) == APPLIED
        await check_books(town, subject, 0)
        assert (await member(town, subject)).credits_owed == 15
        assert (await payment_of(town, first)).credits_revoked == 20

        await give(town, subject, 4)  # an adjustment is exact
        assert (await member(town, subject)).credits_owed == 15
        assert await tell(town, second.paid, PAID) == granted(20)
        await check_books(town, subject, 9)
        assert (await member(town, subject)).credits_owed is None
        assert (await movements(town, subject))[-2:] == [("order", 20), ("order_refund", -15)]

        await tell(town, third.paid, PAID)
        await check_books(town, subject, 29)


async def test_a_debt_is_forgiven_before_anything_is_given_again(town: World, meet: Meet) -> None:
    async with meet("ana") as ana:
        subject, purchase = await broke(town, ana), Purchase(str(ana.subject))
        await tell(town, purchase.paid, PAID)
        await give(town, subject, 5)
        await tell(town, purchase.full, REFUNDED)
        await tell(town, purchase.order("order.refunded.partial", modified_at="2026-11-22T10:00:00Z"))
        assert (await member(town, subject)).credits_owed == 3
        await check_books(town, subject, 0)
        await tell(town, purchase.reversed)
        assert (await member(town, subject)).credits_owed is None
        await check_books(town, subject, 5)


async def test_the_credit_of_a_generation_settles_debt_when_it_comes_back(mongod_uri: str, tmp_path: Path) -> None:
    async with workless_world(mongod_uri, tmp_path) as world, world_client(world, "ana") as ana:
        await broke(world, ana)
        purchase = Purchase("ana")
        await tell(world, purchase.paid, PAID)
        first, second = await ana.photo(), await ana.photo()
        await tell(world, purchase.full, REFUNDED)
        assert (await member(world, "ana")).credits_owed == 2
        for image_id, owed in ((first, 1), (second, None)):
            await ana.mutation("images:deleteImage", imageId=image_id)
            assert (await member(world, "ana")).credits_owed == owed
            await check_books(world, "ana", 0)
        assert (await movements(world, "ana"))[-4:] == [("refund", 1), ("order_refund", -1)] * 2


@pytest.mark.parametrize("status", ["pending", "failed"])
async def test_what_was_offered_is_what_is_granted(town: World, meet: Meet, status: str) -> None:
    """Whatever packs hold and cost by now, and also when we had given the checkout up."""
    async with meet("ana") as ana:
        subject, checkout_id = await broke(town, ana), capability_id()
        session = await session_of(town, subject, checkout_id=checkout_id, status=status, error="It has expired.")
        purchase = Purchase(None, checkout_id=checkout_id, net=900)
        assert await tell(town, purchase.paid, PAID) == granted(21)
        stored = await one(town, CheckoutSession, session.id)
        assert stored is not None
        assert (stored.status, stored.checkout_id, stored.error) == ("completed", checkout_id, None)
        assert stored.completed_at is not None
        assert (await payment_of(town, purchase)).checkout_session_id == session.id
        await check_books(town, subject, 21)


async def test_a_checkout_is_found_by_the_name_we_gave_it(town: World, meet: Meet) -> None:
    async with meet("ana") as ana, meet("ben") as ben:
        subject, checkout_id = await broke(town, ana), capability_id()
        session = await session_of(town, subject)
        metadata: Metadata = {"checkoutSessionId": session.id, "userId": str(ben.subject), "creditsPerPack": 5_000}
        purchase = Purchase(str(ben.subject), checkout_id=checkout_id, net=900, metadata=metadata)
        assert await tell(town, purchase.paid, PAID) == granted(21)
        stored = await one(town, CheckoutSession, session.id)
        assert stored is not None
        assert (stored.status, stored.checkout_id) == ("completed", checkout_id)
        await check_books(town, subject, 21)


async def test_a_session_of_another_price_is_not_guessed_at(town: World, meet: Meet) -> None:
    async with meet("ana") as ana:
        subject, checkout_id = await broke(town, ana), capability_id()
        session = await session_of(town, subject, checkout_id=checkout_id)
        purchase = Purchase(subject, checkout_id=checkout_id, net=899)
        assert await tell(town, purchase.paid, PAID) == PARKED_NOW
        (parked,) = await parked_of(town, purchase)
        assert (parked.reason, parked.credits, parked.amount_cents) == ("amount_mismatch", 21, 899)
        assert await one(town, CheckoutSession, session.id) == session
        await check_books(town, subject, 0)


@pytest.mark.parametrize("where", ["metadata", "customer"])
async def test_somebody_new_gets_an_account_and_what_they_paid_for(town: World, meet: Meet, where: str) -> None:
    async with meet("ana") as ana:
        subject = str(ana.subject)
        named: Metadata = {"packs": "2", "creditsPerPack": 10.0}
        purchase = Purchase(None, metadata={**named, "userId": subject} if where == "metadata" else named)
        order = purchase.paid
        assert order.customer is not None
        if where == "customer":
            customer = msgspec.structs.replace(order.customer, metadata={"userId": subject})
            order = msgspec.structs.replace(order, customer=customer)
        assert await tell(town, order, PAID) == granted(20)
        assert await movements(town, subject) == [("trial", 10), ("order", 20)]
        await check_books(town, subject, 30)


async def test_a_customer_we_know_needs_no_metadata(town: World, meet: Meet) -> None:
    """Their money buys whole packs of the present size, of the product that is ours."""
    async with meet("ana") as ana:
        subject, purchase = await broke(town, ana), Purchase(None, metadata={})
        await change(town, User, (await member(town, subject)).id, polar_customer_id=purchase.customer_id)
        assert await tell(town, purchase.paid, PAID, product_id="another") == PARKED_NOW
        (parked,) = await parked_of(town, purchase)
        assert (parked.reason, parked.credits, parked.customer_id) == ("pack_unknown", None, purchase.customer_id)
        assert await tell(town, purchase.paid, PAID, product_id=purchase.paid.product_id) == granted(840)
        assert await parked_of(town, purchase) == []
        await check_books(town, subject, 840)


@pytest.mark.parametrize(
    ("metadata", "net", "changes", "reason", "worth"),
    [
        ({"packs": 2, "creditsPerPack": 10}, 999, {}, "amount_mismatch", 20),
        ({"packs": 2, "creditsPerPack": 10}, 0, {}, "amount_mismatch", 20),
        ({"packs": 2, "creditsPerPack": 10}, 1_000, {"currency": "eur"}, "amount_mismatch", 20),
        ({}, 999, {}, "pack_unknown", None),
        ({"packs": 2_000, "creditsPerPack": 10}, 1_250, {}, "pack_unknown", None),
        ({"packs": 2, "creditsPerPack": 10}, 1_000, {"billing_reason": "subscription_cycle"}, "not_a_purchase", 20),
    ],
)
async def test_what_we_cannot_explain_is_parked(
    town: World,
    meet: Meet,
    metadata: Metadata,
    net: int,
    changes: dict[str, str],
    reason: ParkReason,
    worth: int | None,
) -> None:
    async with meet("ana") as ana:
        subject = str(ana.subject)
        purchase = Purchase(subject, metadata=metadata, net=net)
        assert await tell(town, purchase.order(**changes), PAID) == PARKED_NOW
        assert await tell(town, purchase.order(**changes), PAID) == STILL_PARKED
        (parked,) = await parked_of(town, purchase)
        assert (parked.reason, parked.credits, parked.amount_cents) == (reason, worth, net)
        assert list(await found(town, User.by_user_id.eq(user_id=subject))) == [], (
            "no account for an order that is not theirs"
        )
        assert await movements(town, subject) == []


async def test_an_order_of_nobody_waits_until_a_later_event_names_its_buyer(town: World, meet: Meet) -> None:
    async with meet("ana") as ana, meet("root", admin=True) as root:
        subject, purchase = await broke(town, ana), Purchase(None)
        screen = await root.watch(PARKED, **paged())
        assert await tell(town, purchase.paid, PAID) == PARKED_NOW
        shown = await screen.until(lambda page: purchase.id in _orders(page))
        (line,) = [each for each in shown["page"] if each["orderId"] == purchase.id]
        assert set(line) == {
            "_id", "_creationTime", "orderId", "reason", "amountCents", "currency", "createdAt", "credits", "customerId",
            "customerEmail",
        }  # fmt: skip
        assert (line["reason"], line["credits"], line["customerEmail"]) == (
            "buyer_unknown",
            20,
            "fake.buyer@example.com",
        )
        assert await tell(town, purchase.partial, REFUNDED) == PARKED_NOW
        shown = await screen.until(lambda page: any("refunded" in each for each in page["page"]))
        assert [each["refunded"] for each in shown["page"] if each["orderId"] == purchase.id] == ["partly"]
        assert await tell(town, purchase.paid, PAID) == STILL_PARKED, "what is older changes nothing"
        later = Purchase(None)
        await tell(town, later.paid, PAID)
        shown = await screen.until(lambda page: later.id in _orders(page))
        assert _orders(shown)[:2] == [later.id, purchase.id], "the latest first"

        await change(town, User, (await member(town, subject)).id, polar_customer_id=purchase.customer_id)
        assert await tell(town, purchase.paid, PAID) == granted(20), "and also brings what was newer"
        await screen.until(lambda page: purchase.id not in _orders(page))
        await check_books(town, subject, 12)


async def test_an_administrator_gives_a_parked_order_to_a_member(town: World, meet: Meet) -> None:
    async with meet("ana") as ana, meet("root", admin=True) as root:
        subject, purchase = await broke(town, ana), Purchase(None)
        credit, screen = await ana.watch(CREDITS), await root.watch(PARKED, **paged())
        await tell(town, purchase.partial, REFUNDED)
        asked: Value = {"orderId": purchase.id, "userId": subject, "credits": 30, "reason": "she wrote to us"}
        for wrong, code in (
            ({"orderId": "made up"}, "NOT_FOUND"), ({"userId": "made up"}, "NOT_FOUND"), ({"credits": 0}, "VALIDATION"),
            ({"credits": 1_000_001}, "VALIDATION"), ({"reason": ""}, "VALIDATION"),
        ):  # fmt: skip
            with pytest.raises(Refusal) as refused:
                await root.mutation(ASSIGN, **{**asked, **wrong})
            assert refused.value.code == code
        assert len(await parked_of(town, purchase)) == 1

        assert await root.mutation(ASSIGN, **asked) == {"newBalance": 18}

        await credit.until(lambda value: value["credits"] == 18)
        await screen.until(lambda page: purchase.id not in _orders(page))
        assert (await movements(town, subject))[-2:] == [("order", 30), ("order_refund", -12)]
        audit = [each for each in await found(town, AuditEntry.by_created.all()) if each.target == purchase.id]
        assert [(each.action, each.actor) for each in audit] == [("order.assigned", root.subject)]
        assert str(audit[0].reason).endswith("she wrote to us")
        with pytest.raises(Refusal):
            await root.mutation(ASSIGN, **asked)
        assert await tell(town, purchase.full, REFUNDED) == APPLIED
        assert await tell(town, purchase.paid, PAID) == SKIPPED
        await check_books(town, subject, 0)


async def test_assigned_and_told_of_at_once_it_is_granted_once(town: World, meet: Meet) -> None:
    async with meet("ana") as ana, meet("root", admin=True) as root:
        subject, purchase = await broke(town, ana), Purchase(None)
        await tell(town, purchase.paid, PAID)
        await change(town, User, (await member(town, subject)).id, polar_customer_id=purchase.customer_id)
        asked: Value = {"orderId": purchase.id, "userId": subject, "credits": 20, "reason": "hers"}
        await asyncio.gather(
            *(tell(town, purchase.paid, PAID) for _ in range(4)), root.mutation(ASSIGN, **asked), return_exceptions=True
        )
        await check_books(town, subject, 20)
        assert await parked_of(town, purchase) == []


async def test_who_has_left_is_not_made_anew(town: World, meet: Meet) -> None:
    async with meet("ana") as ana:
        subject = await broke(town, ana)
        before, after = Purchase(subject), Purchase(subject)
        await tell(town, before.paid, PAID)
        await ana.mutation(LEAVE)
        await gone(ana)
        assert await tell(town, after.paid, PAID) == PARKED_NOW
        (parked,) = await parked_of(town, after)
        assert (parked.reason, parked.customer_email, "@" in parked.order) == ("buyer_left", None, False)
        assert await tell(town, before.full, REFUNDED) == APPLIED
        payment = await payment_of(town, before)
        assert (payment.status, payment.credits_revoked, payment.movements) == ("refunded", 20, 0)
        assert list(await found(town, User.by_user_id.eq(user_id=subject))) == []
        assert sum(amount for _, amount in await movements(town, subject)) == 0

        await ana.mutation("users:ensureUser")
        assert await tell(town, after.paid, PAID) == granted(20), "who is back is somebody again"
        await check_books(town, subject, 20)


async def test_who_leaves_with_debt_leaves_the_books_in_order(town: World, meet: Meet) -> None:
    async with meet("ana") as ana:
        subject, purchase = await broke(town, ana), Purchase(str(ana.subject))
        await tell(town, purchase.paid, PAID)
        await give(town, subject, 1)
        await tell(town, purchase.full, REFUNDED)
        await give(town, subject, 3)
        await ana.mutation(LEAVE)
        await gone(ana)
        assert (await movements(town, subject))[-1] == ("adjustment", -3)
        assert sum(amount for _, amount in await movements(town, subject)) == 0


def _orders(page: Value) -> list[str]:
    return [each["orderId"] for each in page["page"]]
