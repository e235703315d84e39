"""Polar's stand-in: its documents and events have Polar's form, our own readers understand them, and it forgets the oldest."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import count

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schema.values import seconds
from server.auth.signatures import verify
from server.dev.checkout import Courier, checkout_routes, money
from server.dev.polar import MAX_BODY_BYTES, polar_routes
from server.dev.sales import CHECKOUT_LIFETIME, MAX_SALES, DevPolar, Wanted
from server.providers.polar_wire import Checkout, Order, Refund
from tests.support.http import http_client
from tests.support.live import Value
from tests.support.webhooks import fixture
from tests.support.world import free_port
from tests.unit.server.auth.issuer_site import NOW, VirtualClock, serving

SECRET = "whsec_aGVsbG8gdGhlcmU="
PUBLIC_URL = "https://anime.test"
REQUEST: Value = json.loads(fixture("checkout.create.request.json"))


class Shop:
    """The stand-in over HTTP, with a clock that the test moves."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        names = map(str, count(1))
        self.polar = DevPolar(PUBLIC_URL, self.clock, lambda: f"id{next(names)}")
        self.http = http_client()
        self.till = ""

    async def order(self, **changes: Value) -> Value:
        """Ask for a checkout."""
        reply = await self.http.post("/dev/polar/v1/checkouts/", json={**REQUEST, **changes})
        assert reply.status_code == httpx.codes.CREATED, reply.text
        return reply.json()

    async def press(self, checkout: Value, action: str) -> httpx.Response:
        """Press a button on its page."""
        return await self.http.post(f"{self.till}/dev/checkout/{checkout['client_secret']}/{action}")

    async def get(self, path: str, **params: Value) -> Value:
        """Read something."""
        return (await self.http.get(f"/dev/polar/v1/{path}", params=params)).raise_for_status().json()


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """A shop that has sold nothing yet."""
    opened = Shop()
    async with serving(Starlette(routes=polar_routes(opened.polar))) as url, opened.http as http:
        http.base_url = httpx.URL(url)
        yield opened


def unlike(document: Value, example: Value, at: str = "") -> list[str]:
    """Where a document has a field that the example has not, or of another kind; null fits everything."""
    found = []
    for name, value in document.items():
        theirs = example.get(name)
        if name not in example:
            found.append(f"{at}{name} is not theirs")
        elif isinstance(value, dict) and isinstance(theirs, dict) and name != "metadata":
            found += unlike(value, theirs, f"{at}{name}.")
        elif None not in (value, theirs) and type(value) is not type(theirs):
            found.append(f"{at}{name} is {value!r}")
    return found


async def test_a_new_checkout_is_as_polar_makes_it(shop: Shop) -> None:
    made = await shop.order()
    assert unlike(made, json.loads(fixture("checkout.create.response.201.json"))) == []
    read = msgspec.convert(made, Checkout)
    assert (read.status, read.url) == ("open", f"{PUBLIC_URL}/dev/checkout/{read.client_secret}")
    assert read.client_secret is not None
    assert read.client_secret.startswith("polar_c_")
    assert (read.external_customer_id, read.metadata) == (REQUEST["external_customer_id"], REQUEST["metadata"])
    assert (made["amount"], made["currency"]) == (1_000, "usd")
    assert made["success_url"] == f"https://app.example.com/billing/success?checkout_id={read.id}"
    assert await shop.get(f"checkouts/{read.id}") == made


async def test_an_order_and_its_refunds_are_as_polar_writes_them(shop: Shop) -> None:
    secret = (await shop.order())["client_secret"]
    shop.polar.pay(secret)
    (order,) = (await shop.get("orders/"))["items"]
    assert unlike(order, json.loads(fixture("order.paid.json"))["data"]) == []
    read = msgspec.convert(order, Order)
    assert (read.status, read.net_amount, read.metadata) == ("paid", 1_000, REQUEST["metadata"])
    assert read.customer is not None
    assert (read.customer.external_id, read.customer.id) == (REQUEST["external_customer_id"], read.customer_id)

    shop.clock.forward(1)
    shop.polar.refund(secret, 400)
    half = msgspec.convert(await shop.get(f"orders/{read.id}"), Order)
    assert (half.status, half.refunded_amount) == ("partially_refunded", 400)
    assert half.seen_at == read.seen_at + seconds(1)
    shop.clock.forward(1)
    sale = shop.polar.refund(secret, 5_000)
    assert sale == shop.polar.refund(secret, 1), "nothing is left to give back"
    whole = await shop.get(f"orders/{read.id}")
    assert (whole["status"], whole["refunded_amount"], whole["refundable_amount"]) == ("refunded", 1_000, 0)
    refunds = (await shop.get("refunds/", order_id=read.id))["items"]
    assert unlike(refunds[0], json.loads(fixture("refund.created.json"))["data"]) == []
    assert [msgspec.convert(each, Refund).status for each in refunds] == ["succeeded", "succeeded"]
    assert [each["amount"] for each in refunds] == [600, 400]


async def test_a_checkout_is_paid_once_and_not_after_its_time(shop: Shop) -> None:
    first, second = (await shop.order())["client_secret"], (await shop.order())["client_secret"]
    paid = shop.polar.pay(first)
    assert shop.polar.pay(first) == shop.polar.expire(first) == paid
    shop.clock.forward(CHECKOUT_LIFETIME / 1_000)
    assert shop.polar.sale(first) == paid
    late = shop.polar.sale(second)
    assert late is not None
    assert late.checkout.status == "expired"
    assert shop.polar.pay(second) == shop.polar.refund(second, 1) == late
    assert [each["status"] for each in (await shop.get("checkouts/"))["items"]] == ["expired", "succeeded"]
    assert repr(shop.polar) == f"<DevPolar 2 of at most {MAX_SALES} purchases, 1 paid>"


async def test_lists_are_newest_first_and_in_pages(shop: Shop) -> None:
    made = [(await shop.order(external_customer_id=f"buyer {number % 2}"))["id"] for number in range(5)]
    found = await shop.get("checkouts/", external_customer_id="buyer 0", limit=2)
    assert [each["id"] for each in found["items"]] == [made[4], made[2]]
    assert found["pagination"] == {"total_count": 3, "max_page": 2}
    rest = await shop.get("checkouts/", external_customer_id="buyer 0", limit=2, page=2)
    assert [each["id"] for each in rest["items"]] == [made[0]]
    assert (await shop.get("checkouts/", external_customer_id="nobody"))["items"] == []
    assert len((await shop.get("checkouts/", limit="²", page="-1"))["items"]) == 5


async def test_the_oldest_is_forgotten(shop: Shop) -> None:
    wanted = msgspec.convert(REQUEST, Wanted)
    made = [shop.polar.open(wanted) for _ in range(MAX_SALES + 1)]
    assert shop.polar.sale(made[0].client_secret) is None
    assert shop.polar.sale(made[1].client_secret) is not None
    assert (await shop.get("checkouts/"))["pagination"]["total_count"] == MAX_SALES
    gone = await shop.http.get(f"/dev/polar/v1/checkouts/{made[0].id}")
    assert (gone.status_code, gone.json()) == (404, json.loads(fixture("error.404.json")))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[" * 10_000,
        b"{" + b" " * MAX_BODY_BYTES + b"}",
        json.dumps({**REQUEST, "products": []}),
        json.dumps({**REQUEST, "prices": {}}),
        json.dumps({**REQUEST, "prices": {REQUEST["products"][0]: [{"price_amount": -1}]}}),
        json.dumps({**REQUEST, "success_url": "javascript:alert(1)"}),
    ],
)
async def test_nonsense_is_refused_in_polars_form(shop: Shop, body: bytes | str) -> None:
    refused = await shop.http.post("/dev/polar/v1/checkouts/", content=body)
    example = json.loads(fixture("error.422.json"))
    assert (refused.status_code, refused.json()["error"]) == (422, example["error"])
    assert refused.json()["detail"][0].keys() == example["detail"][0].keys()
    assert (await shop.get("checkouts/"))["items"] == []


class Endpoint:
    """Where the webhooks go: answers as the test wants, and keeps what came."""

    def __init__(self) -> None:
        self.status = 202
        self.came: list[tuple[str, Value]] = []

    async def answer(self, request: Request) -> Response:
        """Believe only what is signed."""
        body = await request.body()
        message_id = verify(request.headers, body, [SECRET], NOW)
        self.came.append((message_id, json.loads(body)))
        return Response(status_code=self.status)


@pytest.fixture
async def endpoint(shop: Shop) -> AsyncIterator[Endpoint]:
    """The payment page of this shop, and the endpoint that hears of what happens there."""
    opened = Endpoint()
    async with serving(Starlette(routes=[Route("/hear", opened.answer, methods=["POST"])])) as heard:
        courier = Courier(shop.http, f"{heard}/hear", SECRET, shop.clock)
        async with serving(Starlette(routes=checkout_routes(shop.polar, courier, PUBLIC_URL))) as url:
            shop.till = url
            yield opened


async def test_the_buttons_send_polars_events(shop: Shop, endpoint: Endpoint) -> None:
    checkout = await shop.order()
    paid = await shop.press(checkout, "pay")
    assert (paid.status_code, paid.headers["location"]) == (303, checkout["success_url"])
    await shop.press(checkout, "refund-half")
    await shop.press(checkout, "refund-all")
    other = await shop.order()
    declined = await shop.press(other, "decline")
    assert declined.headers["location"] == f"/dev/checkout/{other['client_secret']}"
    examples = (
        "order.paid",
        "checkout.updated.succeeded",
        "order.refunded.partial",
        "order.refunded.full",
        "checkout.expired",
    )
    assert len({message_id for message_id, _ in endpoint.came}) == len(endpoint.came) == len(examples)
    for (_, event), name in zip(endpoint.came, examples, strict=True):
        example = json.loads(fixture(f"{name}.json"))
        assert unlike(event, example) == []
        assert (event["type"], event["data"]["status"]) == (example["type"], example["data"]["status"])


async def test_a_deaf_endpoint_is_told_of_and_can_be_told_again(shop: Shop, endpoint: Endpoint) -> None:
    checkout = await shop.order()
    endpoint.status = 500
    failed = await shop.press(checkout, "pay")
    assert failed.status_code == httpx.codes.BAD_GATEWAY
    assert "order.paid was sent, and the webhook endpoint answered 500." in failed.text
    assert [each["status"] for each in (await shop.get("orders/"))["items"]] == ["paid"], "whoever asks finds it"
    endpoint.status = 202
    assert (await shop.press(checkout, "send-again")).status_code == httpx.codes.SEE_OTHER
    ids = [message_id for message_id, event in endpoint.came if event["type"] == "order.paid"]
    assert ids == [ids[0]] * 2, "the same message has the same id"


async def test_an_endpoint_that_is_not_there(shop: Shop, endpoint: Endpoint) -> None:
    courier = Courier(shop.http, f"http://127.0.0.1:{free_port()}/hear", SECRET, shop.clock)
    checkout = shop.polar.open(msgspec.convert(REQUEST, Wanted))
    told = await courier.tell(shop.polar.pay(checkout.client_secret))
    assert told == "order.paid was sent, and the webhook endpoint could not be reached."
    assert endpoint.came == []


async def test_the_page_lets_its_forms_lead_to_the_buyers_front_end_only(shop: Shop, endpoint: Endpoint) -> None:
    checkout = await shop.order(embed_origin="https://shop.test/ ; script-src *")
    policy = (await shop.http.get(f"{shop.till}/dev/checkout/{checkout['client_secret']}")).headers[
        "content-security-policy"
    ]
    assert "form-action 'self' https://app.example.com; frame-ancestors https://shop.test" in policy
    assert "script-src" not in policy


@pytest.mark.parametrize(
    ("cents", "currency", "words"), [(500, "usd", "$5.00"), (1_205, "EUR", "12.05 EUR"), (0, "usd", "$0.00")]
)
def test_money(cents: int, currency: str, words: str) -> None:
    assert money(cents, currency) == words
