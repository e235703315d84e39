"""Buying in development: from `initiateCheckout` to the credits, through the local payment page and real signed webhooks."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest
from starlette.routing import Route

from schema.billing import Payment
from schema.deliveries import Delivery
from server.config import read_settings
from server.issuers import open_identity
from tests.scenarios.conftest import Meet
from tests.scenarios.stock import found, paged
from tests.support.http import http_client
from tests.support.live import LiveClient, Screen, Value
from tests.support.world import World

CREDITS, SESSION = "users:getCurrentUserCredits", "payments:getCheckoutSession"
PACK, TRIAL, PRICE_CENTS = 420, 10, 500
THERE = "/?checkout_id={CHECKOUT_ID}"


class Checkout:
    """A payment page in front of its buyer."""

    def __init__(self, buyer: LiveClient, session: Screen, credit: Screen) -> None:
        self.buyer, self.session, self.credit = buyer, session, credit
        self.url: str = session.value["url"]

    async def show(self) -> httpx.Response:
        """Look at the page."""
        return await self.buyer.http.get(self.url)

    async def press(self, action: str, **headers: str) -> httpx.Response:
        """Press one of its buttons."""
        return await self.buyer.http.post(f"{self.url}/{action}", headers=headers)

    async def has(self, credit: int) -> None:
        """Wait until the balance on the screen is this."""
        await self.credit.until(lambda value: value["credits"] == credit)


async def start(buyer: LiveClient) -> Checkout:
    """Ask for a checkout and wait, on the live session, for its page."""
    await buyer.mutation("users:ensureUser")
    credit = await buyer.watch(CREDITS)
    session_id = await buyer.mutation("payments:initiateCheckout", successUrl=f"{buyer.world.url}{THERE}")
    session = await buyer.watch(SESSION, sessionId=session_id)
    await session.until(lambda value: "url" in value)
    return Checkout(buyer, session, credit)


async def history(buyer: LiveClient) -> list[Value]:
    """Kinds and amounts of the ledger, newest first."""
    page = (await buyer.query_once("users:getCreditHistory", **paged()))["page"]
    return [(each["kind"], each["amount"]) for each in page]


async def test_paying_brings_the_pack_live_and_only_once(meet: Meet, town: World) -> None:
    async with meet("ana") as ana:
        checkout = await start(ana)
        assert checkout.url.startswith(f"{town.url}/dev/checkout/polar_c_")
        page = await checkout.show()
        assert page.status_code == httpx.codes.OK
        for words in (f"{PACK} credits", "$5.00", str(ana.subject), "No money moves"):
            assert words in page.text

        paid = await checkout.press("pay")
        checkout_id = checkout.session.value["checkoutId"]
        assert (paid.status_code, paid.headers["location"]) == (303, f"{town.url}/?checkout_id={checkout_id}")
        await checkout.has(TRIAL + PACK)
        await checkout.session.until(lambda value: value["status"] == "completed")
        assert [each["credits"] for each in checkout.credit.values] == [TRIAL, TRIAL + PACK]
        assert await history(ana) == [("order", PACK), ("trial", TRIAL)]
        (payment,) = (await ana.query_once("payments:getPaymentHistory", **paged()))["page"]
        assert (payment["amountCents"], payment["creditsGranted"], payment["status"]) == (PRICE_CENTS, PACK, "paid")

        again = await checkout.press("pay")
        assert again.status_code == httpx.codes.CONFLICT
        assert "paid already" in again.text
        assert (await checkout.press("decline")).status_code == httpx.codes.CONFLICT
        assert (await checkout.press("send-again")).status_code == httpx.codes.SEE_OTHER
        assert await history(ana) == [("order", PACK), ("trial", TRIAL)]
        assert checkout.session.value["status"] == "completed"


async def test_an_impatient_buyer_pays_once(meet: Meet) -> None:
    async with meet("ana") as ana:
        checkout = await start(ana)
        replies = await asyncio.gather(*(checkout.press("pay") for _ in range(4)))
        assert sorted(reply.status_code for reply in replies) == [303, 409, 409, 409]
        await checkout.has(TRIAL + PACK)
        assert await history(ana) == [("order", PACK), ("trial", TRIAL)]


async def test_declining_ends_the_session_and_nothing_else(meet: Meet) -> None:
    async with meet("ana") as ana:
        checkout = await start(ana)
        declined = await checkout.press("decline")
        assert (declined.status_code, declined.headers["location"]) == (303, httpx.URL(checkout.url).path)
        ended = await checkout.session.until(lambda value: value["status"] == "failed")
        assert ended["error"]
        late = await checkout.press("pay")
        assert late.status_code == httpx.codes.GONE
        assert "closed" in late.text
        assert (await checkout.press("refund-all")).status_code == httpx.codes.GONE
        assert "Closed" in (await checkout.show()).text
        assert await history(ana) == [("trial", TRIAL)]


async def test_refunds_take_the_credits_back_in_halves(meet: Meet, town: World) -> None:
    async with meet("ana") as ana:
        checkout = await start(ana)
        assert (await checkout.press("refund-half")).status_code == httpx.codes.CONFLICT, "nothing is paid yet"
        await checkout.press("pay")
        await checkout.has(TRIAL + PACK)
        assert (await checkout.press("refund-half")).status_code == httpx.codes.SEE_OTHER
        await checkout.has(TRIAL + PACK // 2)
        (payment,) = await found(town, Payment.by_user_id.eq(user_id=ana.subject))
        assert (payment.status, payment.refunded_cents) == ("paid", PRICE_CENTS // 2)
        assert (await checkout.press("refund-all")).status_code == httpx.codes.SEE_OTHER
        await checkout.has(TRIAL)
        (payment,) = await found(town, Payment.by_user_id.eq(user_id=ana.subject))
        assert (payment.status, payment.refunded_cents) == ("refunded", PRICE_CENTS)
        over = await checkout.press("refund-all")
        assert over.status_code == httpx.codes.CONFLICT
        assert "went back already" in over.text
        assert await history(ana) == [
            ("order_refund", -PACK // 2),
            ("order_refund", -PACK // 2),
            ("order", PACK),
            ("trial", TRIAL),
        ]


async def test_every_button_sends_what_polar_would(meet: Meet, town: World) -> None:
    async with meet("ana") as ana:
        before = {each.id for each in await found(town, Delivery.by_provider_and_received.eq(provider="polar"))}
        checkout = await start(ana)
        for action in ("pay", "refund-half"):
            await checkout.press(action)
        await checkout.has(TRIAL + PACK // 2)
        rows = await found(town, Delivery.by_provider_and_received.eq(provider="polar"))
        kinds = [row.kind for row in rows if row.id not in before]
        assert kinds == ["order.paid", "checkout.updated", "order.refunded"]


async def test_another_site_cannot_press_the_buttons(meet: Meet) -> None:
    async with meet("ana") as ana:
        checkout = await start(ana)
        for origin in ("https://evil.test", "null"):
            refused = await checkout.press("pay", origin=origin)
            assert refused.status_code == httpx.codes.FORBIDDEN
        assert await history(ana) == [("trial", TRIAL)]
        own = await checkout.press("pay", origin=str(httpx.URL(checkout.url).join("/"))[:-1])
        assert own.status_code == httpx.codes.SEE_OTHER
        await checkout.has(TRIAL + PACK)


async def test_an_unknown_checkout_is_a_calm_page(town: World) -> None:
    async with http_client(base_url=town.url) as http:
        for reply in (
            await http.get("/dev/checkout/polar_c_unknown"),
            await http.post("/dev/checkout/polar_c_unknown/pay"),
        ):
            assert reply.status_code == httpx.codes.NOT_FOUND
            assert "No such checkout" in reply.text


async def test_what_a_buyer_is_called_is_never_markup(meet: Meet) -> None:
    name = '<script>alert("x")</script>'
    async with meet("ana") as ana:
        session_id = await ana.mutation("payments:initiateCheckout", customerName=name)
        session = await ana.watch(SESSION, sessionId=session_id)
        page = await ana.http.get((await session.until(lambda value: "url" in value))["url"])
        assert "<script" not in page.text
        assert "&lt;script&gt;" in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy


@pytest.mark.parametrize("variables", [{"POLAR_ACCESS_TOKEN": "polar_oat_test"}, {"APP_ENV": "production"}])
async def test_where_polar_itself_sells_there_is_no_such_page(town: World, variables: dict[str, str]) -> None:
    needed = {
        "MONGODB_URI": town.settings.mongodb_uri or "",
        "CLERK_JWT_ISSUER_DOMAIN": "https://clerk.test",
        "CLERK_WEBHOOK_SECRET": "whsec_a",
        "GEMINI_API_KEY": "key",
        "POLAR_ACCESS_TOKEN": "polar_oat_test",
        "POLAR_PRODUCT_ID": "product",
        "POLAR_WEBHOOK_SECRET": "whsec_b",
    }
    settings = read_settings({**needed, **variables}, default_environment="development")
    async with open_identity(settings, town.runtime) as (_, routes):
        assert [
            route for route in routes if isinstance(route, Route) and re.match("/dev/(checkout|polar)", route.path)
        ] == []
    async with open_identity(town.settings, town.runtime) as (_, routes):
        paths = {route.path for route in routes if isinstance(route, Route)}
        assert {"/dev/checkout/{secret}", "/dev/polar/v1/checkouts/"} <= paths
