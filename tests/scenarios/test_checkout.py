"""The story of a purchase up to its payment page: one page for one session, whatever becomes of the calls that open it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import pytest
from msgspec import Raw

from jobs.outcome import INTERRUPTED, Done, Refused, Transient
from schema.billing import BILLING_SETTINGS_ID, BillingSettings, CheckoutSession, CheckoutStatus, Payment
from schema.system import Job
from schema.values import Id, Millis, minutes, seconds
from server.auth.identity import Identity
from server.context import Member, Mutation, Urls
from server.errors import Forbidden
from server.feed import HubFeed
from server.functions.checkout import AFTERWARDS, SESSION_IS_GONE, SETTLING_MS, UNCERTAIN, CreateCheckout, Shop
from server.functions.checkout_states import EXPIRED, NOT_PAID, apply_checkout
from server.functions.payments import initiate_checkout
from server.providers.polar import PolarClient
from server.providers.polar_outcomes import BUSY, EMAIL_REFUSED, NO_ANSWER, TROUBLE, UNAVAILABLE
from server.providers.polar_wire import Checkout
from server.work import CREATE_CHECKOUT
from tests.scenarios.conftest import Meet
from tests.scenarios.stock import change, commit, found, now, one, paged, put, remove
from tests.scenarios.test_credits import outcome
from tests.support.live import DEADLINE_S, LiveClient, Refusal, Screen, Value, world_client
from tests.support.polar import (
    PRODUCT,
    TOKEN,
    VENDOR,
    PolarSite,
    Scenario,
    creates_and_resets,
    creates_and_stalls,
    fails,
    polar_site,
    resets,
    says,
    stalls,
    told,
)
from tests.support.world import World, open_world

BUY = "payments:initiateCheckout"
SHORT_S = 0.3
"""For calls that are meant to take too long."""
not_offered = told("error.404")


class Market:
    """A product that sells through the stand-in."""

    def __init__(self, world: World, polar: PolarSite) -> None:
        self.world, self.polar = world, polar
        self.shop = Shop(PRODUCT, world.settings.public_url)

    @asynccontextmanager
    async def runner(self, deadline_s: float = DEADLINE_S, shop: Shop | None = None) -> AsyncIterator[CreateCheckout]:
        """What opens payment pages, with a client of its own."""
        client = PolarClient(self.polar.url, TOKEN, call_deadline_s=deadline_s, trust_env=False)
        try:
            yield CreateCheckout(self.world.runtime.database, client, shop or self.shop)
        finally:
            await client.aclose()

    async def session(self, **changes: str) -> CheckoutSession:
        """A session for which no job was asked."""
        offer = CheckoutSession(
            user_id=f"member-{next(_numbers)}", status="pending", created_at=now(), packs=1, credits_per_pack=420,
            amount_cents=500,
        )  # fmt: skip
        (session,) = await put(self.world, msgspec.structs.replace(offer, **changes))
        return session

    async def job(self, session_id: str, is_so: Callable[[Job], bool]) -> Job:
        """The session's job, once it is so."""
        feed = HubFeed(self.world.runtime.database, self.world.runtime.hub)
        async with asyncio.timeout(DEADLINE_S):
            while True:
                jobs, watch = await feed.look(lambda db: db.take(Job.by_subject.eq(subject=session_id), 1))
                if jobs and is_so(jobs[0]):
                    return jobs[0]
                await watch.wait()


@pytest.fixture(scope="module")
async def shared_market(mongod_uri: str) -> AsyncIterator[Market]:
    async with (
        polar_site() as polar,
        open_world(mongod_uri, POLAR_ACCESS_TOKEN=TOKEN, POLAR_PRODUCT_ID=PRODUCT, POLAR_BASE_URL=polar.url) as world,
    ):
        yield Market(world, polar)


@pytest.fixture
def market(shared_market: Market) -> Market:
    shared_market.polar.clear()
    return shared_market


_numbers = itertools.count()


@pytest.fixture
def meet(market: Market) -> Meet:
    """People whom no other story knows."""
    return lambda name, *, admin=False: world_client(market.world, f"{name}-{next(_numbers)}", admin=admin)


async def buying(person: LiveClient, **args: Value) -> tuple[str, Screen]:
    """Begin to buy; the session's id, and the session on the screen."""
    session_id: str = await person.mutation(BUY, **args)
    return session_id, await person.watch("payments:getCheckoutSession", sessionId=session_id)


async def offered(session: Screen) -> Value:
    """The session once it can be paid."""
    return await session.until(lambda value: value.get("url") is not None)


async def failed(person: LiveClient, session: Screen) -> str:
    """Why there is no payment page; nothing the vendor said was ever shown."""
    view = await session.until(lambda value: value["status"] == "failed")
    heard = [answer for step in person.steps for answer in step.shown.values()]
    said = "".join(bytes(each).decode() if isinstance(each, Raw) else str(each) for each in heard)
    assert view["error"] in said
    assert VENDOR not in said
    error: str = view["error"]
    return error


# --- a page is opened ------------------------------------------------------------------------------------------------


async def test_who_waits_sees_the_page_arrive(market: Market, meet: Meet) -> None:
    async with meet("ana") as ana:
        session_id, session = await buying(ana)
        view = await offered(session)

        (checkout,) = market.polar.checkouts
        assert view == {
            "status": "pending", "url": checkout["url"], "clientSecret": checkout["client_secret"],
            "checkoutId": checkout["id"],
        }  # fmt: skip
        assert session.values[0] in ({"status": "pending"}, view)
        (call,) = (call for call in market.polar.calls if call.kind == "create")
        assert call.body == {
            "products": [PRODUCT],
            "prices": {PRODUCT: [{"amount_type": "fixed", "price_amount": 500, "price_currency": "usd"}]},
            "external_customer_id": ana.subject,
            "metadata": {"userId": ana.subject, "packs": 1, "creditsPerPack": 420, "checkoutSessionId": session_id},
            "allow_discount_codes": False,
            "success_url": f"{market.world.url}/?checkout_id={{CHECKOUT_ID}}",
            "return_url": market.world.url,
        }
        assert market.polar.count("checkouts") == 0, "nobody looks for what nobody has opened"
        job = await market.job(session_id, lambda job: job.state == "succeeded")
        assert (job.kind, job.attempt, job.owner) == ("create_checkout", 1, ana.subject)
        assert (await ana.query_once("users:getCurrentUserCredits"))["credits"] == 10, "a page is no payment"


async def test_what_the_buyer_wishes_is_passed_on(market: Market, meet: Meet) -> None:
    async with meet("ana") as ana:
        wishes = {
            "successUrl": f"{market.world.url}/done?checkout={{CHECKOUT_ID}}",
            "embedOrigin": "http://localhost:5173",
            "customerEmail": "ana@example.com",
            "customerName": "Ana Önder",
        }
        _, session = await buying(ana, **wishes)
        await offered(session)
        (call,) = (call for call in market.polar.calls if call.kind == "create")
        names = ("success_url", "embed_origin", "customer_email", "customer_name")
        assert [call.body[name] for name in names] == list(wishes.values())


async def test_the_offer_is_todays(market: Market, meet: Meet) -> None:
    settings = BillingSettings(id=BILLING_SETTINGS_ID, pack_price_cents=1_234, credits_per_pack=7)
    await put(market.world, settings)
    try:
        async with meet("ana") as ana:
            session_id, session = await buying(ana)
            await offered(session)
    finally:
        await remove(market.world, BillingSettings, BILLING_SETTINGS_ID)
    kept = await one(market.world, CheckoutSession, session_id)
    assert kept is not None
    assert (kept.packs, kept.credits_per_pack, kept.amount_cents, kept.currency) == (1, 7, 1_234, "usd")
    assert market.polar.checkouts[0]["amount"] == 1_234
    assert market.polar.checkouts[0]["metadata"]["creditsPerPack"] == 7


# --- one page, whatever happens --------------------------------------------------------------------------------------


async def test_an_error_and_then_a_page(market: Market, meet: Meet) -> None:
    async with meet("ana") as ana:
        market.polar.will("create", fails(500))
        session_id, session = await buying(ana)
        await offered(session)
        assert [market.polar.count(kind) for kind in ("create", "checkouts")] == [2, 1]
        assert len(market.polar.checkouts) == 1
        assert (await market.job(session_id, lambda job: job.state == "succeeded")).attempt == 2


async def test_a_page_whose_answer_was_lost_is_found_again(market: Market, meet: Meet) -> None:
    async with meet("ana") as ana:
        market.polar.will("create", creates_and_resets)
        _, session = await buying(ana)
        view = await offered(session)
        (checkout,) = market.polar.checkouts
        assert (view["checkoutId"], market.polar.count("create")) == (checkout["id"], 1)


async def test_a_lost_answer_that_cannot_be_looked_up_is_not_asked_for_again(market: Market, meet: Meet) -> None:
    async with meet("ana") as ana:
        market.polar.will("create", creates_and_resets)
        market.polar.will("checkouts", not_offered)
        session_id, session = await buying(ana)
        assert await failed(ana, session) == f"{UNCERTAIN} {AFTERWARDS}"
        assert market.polar.count("create") == 1
        assert (await market.job(session_id, lambda job: job.state == "dead")).attempt == 2


async def test_a_clear_no_is_asked_again_also_where_nothing_can_be_looked_up(market: Market, meet: Meet) -> None:
    async with meet("ana") as ana:
        market.polar.will("create", fails(503))
        market.polar.will("checkouts", fails(405))
        _, session = await buying(ana)
        await offered(session)
        assert (market.polar.count("create"), len(market.polar.checkouts)) == (2, 1)


async def test_who_is_asked_to_wait_waits(market: Market, meet: Meet) -> None:
    async with meet("ana") as ana:
        market.polar.will("create", fails(429, retry_after="60"))
        before = now()
        session_id, session = await buying(ana)
        job = await market.job(session_id, lambda job: job.state == "queued" and job.attempt == 1)
        assert job.due_at >= before + seconds(60)
        assert job.reason == BUSY
        assert session.value == {"status": "pending"}
        assert market.polar.count("create") == 1


@pytest.mark.parametrize(
    ("scenario", "sentence"),
    [
        (told("error.401"), UNAVAILABLE),
        (told("error.404"), UNAVAILABLE),
        (told("error.422"), UNAVAILABLE),
        (fails(403), UNAVAILABLE),
        (
            says(json.dumps({"error": "E", "detail": [{"loc": ["body", "customer_email"], "msg": VENDOR}]}), 422),
            EMAIL_REFUSED,
        ),
    ],
    ids=["401", "404", "422", "403", "422-email"],
)
async def test_a_no_that_stays_a_no_is_told_in_words_for_people(
    market: Market, meet: Meet, scenario: Scenario, sentence: str
) -> None:
    async with meet("ana") as ana:
        market.polar.will("create", scenario)
        session_id, session = await buying(ana)
        assert await failed(ana, session) == f"{sentence} {AFTERWARDS}"
        assert market.polar.count("create") == 1
        job = await market.job(session_id, lambda job: job.state == "dead")
        assert (job.attempt, job.reason) == (1, sentence)


# --- one attempt at a time -------------------------------------------------------------------------------------------


def attempt(session: CheckoutSession, number: int, reason: str | None = None, handed_back: int = 0) -> Job:
    """An attempt as the loop gives it to the runner."""
    return Job(
        id=Id(f"job-{session.id}"), kind=CREATE_CHECKOUT.kind, subject=session.id, arguments="{}", state="leased",
        attempt=number, max_attempts=CREATE_CHECKOUT.max_attempts + handed_back, due_at=now(), created_at=now(),
        reason=reason,
    )  # fmt: skip


@pytest.mark.parametrize(("scenario", "pages"), [(creates_and_stalls, 1), (stalls, 0)])
async def test_after_a_silence_one_page_is_found_or_opened(market: Market, scenario: Scenario, pages: int) -> None:
    session = await market.session()
    market.polar.will("create", scenario)
    async with market.runner(SHORT_S) as runner:
        silence = await runner.run(attempt(session, 1))
    assert silence == Transient(NO_ANSWER, SETTLING_MS)
    assert len(market.polar.checkouts) == pages
    async with market.runner() as runner:
        done = await runner.run(attempt(session, 2, NO_ANSWER))
    assert isinstance(done, Done)
    for _ in range(2):  # a commit that met a conflict runs again
        await commit(market.world, done.commit)
    (checkout,) = market.polar.checkouts
    kept = await one(market.world, CheckoutSession, session.id)
    assert kept is not None
    assert (kept.status, kept.url, kept.checkout_id) == ("pending", checkout["url"], checkout["id"])


async def test_a_worker_that_dies_while_it_waits_leaves_one_page(market: Market) -> None:
    session = await market.session()
    market.polar.will("create", creates_and_stalls)
    async with market.runner() as runner:
        dying = asyncio.create_task(runner.run(attempt(session, 1)))
        await market.polar.asked()
        dying.cancel()
        await asyncio.wait([dying])
        assert dying.cancelled()
        assert isinstance(await runner.run(attempt(session, 2, INTERRUPTED.reason)), Done)
    assert (len(market.polar.checkouts), market.polar.count("create")) == (1, 1)


@pytest.mark.parametrize(
    ("reason", "handed_back", "may_ask_again"),
    [
        (TROUBLE, 0, True),
        (BUSY, 0, True),
        (NO_ANSWER, 0, False),
        (INTERRUPTED.reason, 0, False),
        (None, 1, False),
        (TROUBLE, 1, False),
    ],
)
async def test_where_nothing_can_be_looked_up_only_certainty_asks_again(
    market: Market, reason: str | None, handed_back: int, may_ask_again: bool
) -> None:
    session = await market.session()
    market.polar.will("checkouts", not_offered)
    async with market.runner() as runner:
        ended = await runner.run(attempt(session, 2, reason, handed_back))
    assert isinstance(ended, Done) == may_ask_again
    assert len(market.polar.checkouts) == may_ask_again


@pytest.mark.parametrize(
    ("look", "reason", "expected"),
    [
        (fails(500), TROUBLE, Transient(TROUBLE)),
        (fails(500), NO_ANSWER, Transient(NO_ANSWER)),
        (fails(429, retry_after="9"), NO_ANSWER, Transient(NO_ANSWER, seconds(9))),
        (resets, TROUBLE, Transient(TROUBLE)),
        (told("error.401"), NO_ANSWER, Refused(UNAVAILABLE)),
    ],
    ids=["500", "500-uncertain", "429", "reset", "401"],
)
async def test_a_look_that_fails_teaches_nothing_and_opens_nothing(
    market: Market, look: Scenario, reason: str, expected: Transient | Refused
) -> None:
    session = await market.session()
    market.polar.will("checkouts", look)
    async with market.runner() as runner:
        assert await runner.run(attempt(session, 2, reason)) == expected
    assert market.polar.count("create") == 0


async def test_a_session_that_is_gone_or_settled_opens_nothing(market: Market) -> None:
    gone, completed, dead = [await market.session() for _ in range(3)]
    await remove(market.world, CheckoutSession, gone.id)
    await change(market.world, CheckoutSession, completed.id, status="completed")
    await change(market.world, CheckoutSession, dead.id, status="failed", error="no")
    async with market.runner() as runner:
        assert await runner.run(attempt(gone, 1)) == Refused(SESSION_IS_GONE)
        assert isinstance(await runner.run(attempt(completed, 1)), Done)
        assert isinstance(await runner.run(attempt(dead, 1)), Done)
        for session in (gone, completed, dead):
            await commit(market.world, partial(runner.give_up, job=attempt(session, 4), reason="Too late."))
    assert market.polar.count("create") == 0
    assert await one(market.world, CheckoutSession, gone.id) is None
    kept = [await one(market.world, CheckoutSession, each.id) for each in (completed, dead)]
    assert [each and (each.status, each.error) for each in kept] == [("completed", None), ("failed", "no")]


async def test_a_session_that_was_paid_meanwhile_keeps_what_it_has(market: Market) -> None:
    session = await market.session()
    async with market.runner() as runner:
        done = await runner.run(attempt(session, 1))
    assert isinstance(done, Done)
    await change(market.world, CheckoutSession, session.id, status="completed")
    await commit(market.world, done.commit)
    kept = await one(market.world, CheckoutSession, session.id)
    assert kept is not None
    assert (kept.status, kept.url) == ("completed", None)


async def test_without_a_product_nothing_is_sold(market: Market, caplog: pytest.LogCaptureFixture) -> None:
    session = await market.session()
    async with market.runner(shop=Shop("", market.world.url)) as runner:
        assert await runner.run(attempt(session, 1)) == Refused(UNAVAILABLE)
    assert "POLAR_PRODUCT_ID" in caplog.text
    assert market.polar.calls == []


# --- who may, and with what ------------------------------------------------------------------------------------------


async def test_a_session_is_its_buyers_alone(market: Market, meet: Meet) -> None:
    async with meet("ana") as ana, meet("ben") as ben, meet("root", admin=True) as root:
        session_id, session = await buying(ana)
        await offered(session)
        for person in (ben, root):
            assert await person.query_once("payments:getCheckoutSession", sessionId=session_id) is None
        assert await ana.query_once("payments:getCheckoutSession", sessionId="nothing") is None


async def test_nobody_buys_for_whom_they_impersonate(market: Market) -> None:
    operator = Identity(subject="ana", issuer="https://id.example", impersonated_by="operator")
    before = await found(market.world, CheckoutSession.by_user_id.eq(user_id="ana"))
    urls = Urls(market.world.url, market.world.runtime.grants)
    with pytest.raises(Forbidden):
        await commit(market.world, lambda db: initiate_checkout(Mutation(Member(operator, set()), db, urls)))
    assert await found(market.world, CheckoutSession.by_user_id.eq(user_id="ana")) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("successUrl", "https://evil.example/"),
        ("successUrl", "http://localhost@evil.example/"),
        ("successUrl", "javascript:alert(1)"),
        ("successUrl", 7),
        ("embedOrigin", "https://evil.example"),
        ("embedOrigin", "http://localhost:5173/page"),
        ("customerEmail", "ana"),
        ("customerEmail", "ana@ben@example.com"),
        ("customerEmail", "@example.com"),
        ("customerEmail", "ana @example.com"),
        ("customerEmail", f"{'a' * 250}@example.com"),
        ("customerName", ""),
        ("customerName", "  "),
        ("customerName", "Ana\nBcc: everybody"),
        ("customerName", "a" * 201),
        ("packs", 2),
    ],
)
async def test_what_is_wrong_is_named(market: Market, meet: Meet, name: str, value: Value) -> None:
    async with meet("ana") as ana:
        with pytest.raises(Refusal) as refusal:
            await ana.mutation(BUY, **{name: value})
        assert (refusal.value.code, refusal.value.data["field"]) == ("VALIDATION", name)
        assert await found(market.world, CheckoutSession.by_user_id.eq(user_id=ana.subject)) == []


async def test_a_member_begins_ten_purchases_a_minute(market: Market, meet: Meet) -> None:
    async with meet("ana") as ana, meet("ben") as ben:
        codes = [await outcome(ana.mutation(BUY)) for _ in range(11)]
        assert codes == [""] * 10 + ["RATE_LIMITED"]
        assert await outcome(ben.mutation(BUY)) == ""


# --- what Polar says of a page ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "says_polar", "told_outcome", "after"),
    [
        ("pending", "open", "skipped", ("pending", None)),
        ("pending", "confirmed", "skipped", ("pending", None)),
        ("pending", "succeeded", "applied", ("completed", None)),
        ("pending", "expired", "applied", ("failed", EXPIRED)),
        ("pending", "failed", "applied", ("failed", NOT_PAID)),
        ("pending", "a status of the future", "ignored", ("pending", None)),
        ("completed", "expired", "skipped", ("completed", None)),
        ("completed", "succeeded", "skipped", ("completed", None)),
        ("failed", "succeeded", "applied", ("completed", None)),
        ("failed", "open", "skipped", ("failed", "no")),
    ],
)
@pytest.mark.parametrize("is_known_by", ["checkout", "metadata"])
async def test_a_session_follows_its_checkout(
    market: Market, before: CheckoutStatus, says_polar: str, told_outcome: str, after: Value, is_known_by: str
) -> None:
    error = {"error": "no"} if before == "failed" else {}
    session = await market.session(status=before, **error)
    checkout = Checkout(id=f"checkout-{session.id}", status=says_polar, metadata={"checkoutSessionId": session.id})
    if is_known_by == "checkout":
        await change(market.world, CheckoutSession, session.id, checkout_id=checkout.id)
        checkout = msgspec.structs.replace(checkout, metadata={})
    assert await commit(market.world, lambda db: apply_checkout(db, checkout)) == told_outcome
    kept = await one(market.world, CheckoutSession, session.id)
    assert kept is not None
    assert (kept.status, kept.error) == after
    assert (kept.completed_at is not None) == (before != "completed" and kept.status == "completed")
    assert kept.status != "completed" or before == "completed" or kept.checkout_id == checkout.id


async def test_another_page_of_a_session_moves_it_only_by_money(market: Market) -> None:
    session = await market.session(checkout_id=f"checkout-{next(_numbers)}")
    orphan = Checkout(id="orphan", status="expired", metadata={"checkoutSessionId": session.id})
    assert await commit(market.world, lambda db: apply_checkout(db, orphan)) == "skipped"
    paid = msgspec.structs.replace(orphan, status="succeeded")
    assert await commit(market.world, lambda db: apply_checkout(db, paid)) == "applied"


@pytest.mark.parametrize(
    "metadata", [{}, {"checkoutSessionId": "nothing"}, {"checkoutSessionId": 7}, {"checkoutSessionId": ""}]
)
async def test_a_checkout_that_is_not_ours_is_ignored(
    market: Market, metadata: dict[str, str | int | float | bool]
) -> None:
    checkout = Checkout(id=f"foreign-{next(_numbers)}", status="succeeded", metadata=metadata)
    assert await commit(market.world, lambda db: apply_checkout(db, checkout)) == "ignored"


# --- what was paid ---------------------------------------------------------------------------------------------------


def payment(subject: str | None, number: int, created_at: Millis) -> Payment:
    return Payment(
        order_id=f"{subject}-{number}", user_id=subject or "", amount_cents=500, credits_granted=420, status="paid",
        created_at=created_at,
    )  # fmt: skip


async def test_payments_are_shown_to_who_paid_newest_first(market: Market, meet: Meet) -> None:
    async with meet("ana") as ana, meet("ben") as ben:
        moment = now() - minutes(10)
        await put(market.world, *(payment(ana.subject, number, moment + number) for number in range(5)))
        await put(market.world, payment(ben.subject, 9, moment))
        history = await ana.watch("payments:getPaymentHistory", **paged(3))
        assert [each["orderId"] for each in history.value["page"]] == [
            f"{ana.subject}-{number}" for number in (4, 3, 2)
        ]
        assert history.value["page"][0] == {
            "orderId": f"{ana.subject}-4", "amountCents": 500, "creditsGranted": 420, "status": "paid",
            "createdAt": moment + 4,
        }  # fmt: skip
        rest = await ana.query_once("payments:getPaymentHistory", **paged(3, history.value["continueCursor"]))
        assert [each["orderId"] for each in rest["page"]] == [f"{ana.subject}-{number}" for number in (1, 0)]
        assert rest["isDone"] is True
