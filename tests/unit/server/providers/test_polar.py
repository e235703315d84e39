"""Whatever Polar says or does, who asked learns what to make of it: over real HTTP, from a stand-in that speaks its API."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from jobs.outcome import Broken, Refused, Transient
from schema.values import Millis, hours, seconds
from server.config import read_settings
from server.providers import polar_outcomes
from server.providers.polar import FixedPrice, NewCheckout, PolarClient, open_polar, product_of
from server.providers.polar_outcomes import (
    BUSY,
    EMAIL_REFUSED,
    NO_ANSWER,
    NOT_UNDERSTOOD,
    TROUBLE,
    UNAVAILABLE,
    UNREACHABLE,
    PolarFailed,
)
from tests.support.polar import (
    FIXTURES,
    PRODUCT,
    TOKEN,
    VENDOR,
    Json,
    PolarSite,
    Scenario,
    creates_and_resets,
    creates_and_stalls,
    fails,
    floods,
    iso,
    polar_site,
    resets,
    says,
    stalls,
    told,
)

NOW: Millis = 1_795_000_000_000.0
CAP_BYTES = 1 << 20
SHORT_S = 0.3
"""For calls that are meant to take too long."""
HTML = "<html><h1>502 Bad Gateway</h1></html>"
WANTED = NewCheckout(
    products=[PRODUCT],
    prices={PRODUCT: [FixedPrice(price_amount=500, price_currency="usd")]},
    external_customer_id="ana",
    metadata={"userId": "ana", "packs": 1, "creditsPerPack": 420, "checkoutSessionId": "session-1"},
    allow_discount_codes=False,
    success_url="https://anime.example/?checkout_id={CHECKOUT_ID}",
    return_url="https://anime.example",
)


@pytest.fixture(scope="module")
async def running_site() -> AsyncIterator[PolarSite]:
    async with polar_site() as site:
        yield site


@pytest.fixture
def site(running_site: PolarSite) -> PolarSite:
    running_site.clear()
    return running_site


@asynccontextmanager
async def client_of(url: str, token: str = TOKEN, deadline_s: float = 20.0) -> AsyncIterator[PolarClient]:
    client = PolarClient(url, token, call_deadline_s=deadline_s, max_answer_bytes=CAP_BYTES, trust_env=False)
    try:
        yield client
    finally:
        await client.aclose()


@pytest.fixture
async def polar(site: PolarSite) -> AsyncIterator[PolarClient]:
    async with client_of(site.url) as client:
        yield client


async def failure(call: Awaitable[object]) -> PolarFailed:
    with pytest.raises(PolarFailed) as failed:
        await call
    return failed.value


def wrong(*places: list[str]) -> Scenario:
    detail = [{"loc": place, "msg": VENDOR, "type": "value_error"} for place in places]
    return says(json.dumps({"error": "RequestValidationError", "detail": detail}), 422)


Row = tuple[str, Scenario, Transient | Broken | Refused, bool]
TABLE: list[Row] = [
    # answers that say that nothing was done
    ("401", told("error.401"), Broken(UNAVAILABLE), True),
    ("403", fails(403), Broken(UNAVAILABLE), True),
    ("404", told("error.404"), Broken(UNAVAILABLE), True),
    ("405", fails(405), Broken(UNAVAILABLE), True),
    ("422", told("error.422"), Broken(UNAVAILABLE), True),
    ("422, the e-mail address", wrong(["body", "customer_email"]), Refused(EMAIL_REFUSED), True),
    (
        "422, the e-mail address and more",
        wrong(["body", "customer_email"], ["body", "prices"]),
        Broken(UNAVAILABLE),
        True,
    ),
    ("422 without a list", fails(422), Broken(UNAVAILABLE), True),
    ("429 with a delay", fails(429, retry_after="7"), Transient(BUSY, seconds(7)), True),
    ("429 with a delay of days", fails(429, retry_after="999999"), Transient(BUSY, hours(1)), True),
    ("429 with a date", fails(429, retry_after="Tue, 24 Nov 2026 00:00:00 GMT"), Transient(BUSY), True),
    ("429 without", says(HTML, 429, "text/html"), Transient(BUSY), True),
    ("500", fails(500), Transient(TROUBLE), True),
    ("500 without UTF-8", says(b"\xff\xfe", 500), Transient(TROUBLE), True),
    ("503 with a delay", fails(503, retry_after="3"), Transient(TROUBLE, seconds(3)), True),
    # answers that leave it open
    ("408", fails(408), Transient(NO_ANSWER), False),
    ("502 in HTML", says(HTML, 502, "text/html"), Transient(NO_ANSWER), False),
    ("504", fails(504), Transient(NO_ANSWER), False),
    ("524", fails(524), Transient(NO_ANSWER), False),
    ("a redirect", says("", 307, location="http://127.0.0.1:9/"), Broken(UNAVAILABLE), False),
    ("nothing", says("", 201), Transient(NOT_UNDERSTOOD), False),
    ("HTML", says(HTML, 200, "text/html"), Transient(NOT_UNDERSTOOD), False),
    ("another document", says('{"id": 7}', 201), Transient(NOT_UNDERSTOOD), False),
    ("a list", says("[]", 201), Transient(NOT_UNDERSTOOD), False),
    ("no UTF-8", says(b'{"id": "\xff"}', 201), Transient(NOT_UNDERSTOOD), False),
    ("deep nesting", says('{"a":' + "[" * 200_000, 201), Transient(NOT_UNDERSTOOD), False),
    ("an enormous answer", floods(4 * CAP_BYTES), Transient(NOT_UNDERSTOOD), False),
    ("a compressed answer", says(b"\x1f\x8b", 201, content_encoding="gzip"), Transient(NOT_UNDERSTOOD), False),
    # no answers
    ("a reset connection", resets, Transient(NO_ANSWER), False),
    ("a lost answer", creates_and_resets, Transient(NO_ANSWER), False),
]


@pytest.mark.parametrize(("scenario", "outcome", "is_void"), [pytest.param(*row, id=name) for name, *row in TABLE])
async def test_what_is_no_checkout_becomes_an_outcome(
    site: PolarSite,
    polar: PolarClient,
    caplog: pytest.LogCaptureFixture,
    scenario: Scenario,
    outcome: Transient | Broken | Refused,
    is_void: bool,
) -> None:
    caplog.set_level(logging.INFO, "anime.polar")
    site.will("create", scenario)
    failed = await failure(polar.create_checkout(WANTED))
    assert (failed.outcome, failed.is_void) == (outcome, is_void)
    assert site.count("create") == 1, "who calls decides on another try"
    (line,) = [each for each in caplog.records if each.name == "anime.polar"]
    loud = isinstance(outcome, Broken)
    assert (line.levelno == logging.ERROR, bool(failed.check)) == (loud, loud)
    assert failed.check in line.getMessage()
    assert TOKEN not in caplog.text
    assert VENDOR not in str(failed)


@pytest.mark.parametrize("scenario", [stalls, creates_and_stalls])
async def test_what_takes_too_long_is_ended(site: PolarSite, scenario: Scenario) -> None:
    site.will("create", scenario)
    async with client_of(site.url, deadline_s=SHORT_S) as polar:
        failed = await failure(polar.create_checkout(WANTED))
    assert (failed.outcome, failed.is_void) == (Transient(NO_ANSWER), False)


async def test_nobody_listening() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with client_of(f"http://127.0.0.1:{closed.getsockname()[1]}") as polar:
            failed = await failure(polar.create_checkout(WANTED))
    assert (failed.outcome, failed.is_void, failed.is_unreachable) == (Transient(UNREACHABLE), True, True)


@pytest.mark.parametrize("url", ["http://", "ftp://127.0.0.1", "http://127.0.0.1:port"])
async def test_an_address_that_is_none(url: str) -> None:
    async with client_of(url) as polar:
        failed = await failure(polar.list_orders(1))
    assert (failed.outcome, failed.check) == (Broken(UNAVAILABLE), "POLAR_BASE_URL")


async def test_a_wrong_token_is_named_to_the_operator_and_not_shown(
    site: PolarSite, caplog: pytest.LogCaptureFixture
) -> None:
    async with client_of(site.url, token="polar_oat_other") as polar:
        assert (await failure(polar.create_checkout(WANTED))).status == 401
    assert "POLAR_ACCESS_TOKEN" in caplog.text
    said = {"error": "invalid_token", "error_description": f"{TOKEN} was\nrevoked"}
    site.will("create", says(json.dumps(said), 401))
    async with client_of(site.url) as polar:
        await failure(polar.create_checkout(WANTED))
    assert "*** was revoked" in caplog.text
    assert TOKEN not in caplog.text
    assert "polar_oat_other" not in caplog.text


# --- what is sent, and what is read ----------------------------------------------------------------------------------


async def test_what_is_sent(site: PolarSite, polar: PolarClient) -> None:
    checkout = await polar.create_checkout(WANTED)
    (call,) = site.calls
    assert call.headers["authorization"] == f"Bearer {TOKEN}"
    assert call.headers["polar-version"] == "2026-10"
    assert call.headers["content-type"] == "application/json"
    assert call.body == {
        "products": [PRODUCT],
        "prices": {PRODUCT: [{"amount_type": "fixed", "price_amount": 500, "price_currency": "usd"}]},
        "external_customer_id": "ana",
        "metadata": {"userId": "ana", "packs": 1, "creditsPerPack": 420, "checkoutSessionId": "session-1"},
        "allow_discount_codes": False,
        "success_url": "https://anime.example/?checkout_id={CHECKOUT_ID}",
        "return_url": "https://anime.example",
    }
    (kept,) = site.checkouts
    assert (checkout.id, checkout.url, checkout.client_secret) == (kept["id"], kept["url"], kept["client_secret"])
    assert checkout.status == "open"


def test_the_recorded_request_has_our_form() -> None:
    recorded = json.loads((Path(FIXTURES) / "checkout.create.request.json").read_text())
    assert {name for name in json.loads(msgspec.json.encode(WANTED)) if name not in recorded} == set()
    assert recorded["prices"][PRODUCT][0].keys() == json.loads(msgspec.json.encode(WANTED))["prices"][PRODUCT][0].keys()


async def test_a_checkout_is_found_by_the_session_it_was_opened_for(site: PolarSite, polar: PolarClient) -> None:
    body = json.loads(msgspec.json.encode(WANTED))
    mine = site.open(body)
    site.open({**body, "metadata": {"checkoutSessionId": "session-2"}})
    site.open({**body, "external_customer_id": "ben"})
    found = await polar.find_checkout("ana", "session-1")
    assert found is not None
    assert found.id == mine["id"]
    assert await polar.find_checkout("ana", "session-3") is None
    assert await polar.find_checkout("cyd", "session-1") is None
    assert site.calls[0].query == {
        "external_customer_id": "ana", "sorting": "-created_at", "limit": "100", "page": "1",
    }  # fmt: skip
    assert (await polar.get_checkout(mine["id"])).metadata == body["metadata"]


def orders_of(site: PolarSite, count: int) -> list[Json]:
    checkout = site.open(json.loads(msgspec.json.encode(WANTED)))
    return [site.pay(checkout, NOW + seconds(each)) for each in range(count)]


async def test_lists_are_paged_newest_first(site: PolarSite, polar: PolarClient) -> None:
    orders, site.page_items = orders_of(site, 5), 2
    pages = [await polar.list_orders(page) for page in (1, 2, 3)]
    assert [order.id for page in pages for order in page.items] == [order["id"] for order in reversed(orders)]
    assert [page.is_last for page in pages] == [False, False, True]
    refund = site.refund(orders[0], 100, NOW)
    (listed,) = (await polar.list_refunds(1)).items
    assert (listed.id, listed.order_id, listed.created_at) == (refund["id"], orders[0]["id"], iso(NOW))
    assert (await polar.get_order(orders[0]["id"])).refunded_amount == 100


async def test_an_empty_list_is_the_last(polar: PolarClient) -> None:
    listing = await polar.list_orders(1)
    assert (listing.items, listing.is_last) == ([], True)


async def test_an_item_that_nobody_can_read_costs_only_itself(
    site: PolarSite, polar: PolarClient, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, third = orders_of(site, 3)
    second["net_amount"] = "a lot"
    assert [order.id for order in (await polar.list_orders(1)).items] == [third["id"], first["id"]]
    assert "cannot be read" in caplog.text


@pytest.mark.parametrize("get", [PolarClient.get_order, PolarClient.get_checkout])
async def test_what_does_not_exist_and_ids_that_are_no_paths(
    site: PolarSite, polar: PolarClient, get: Callable[[PolarClient, str], Awaitable[object]]
) -> None:
    assert (await failure(get(polar, "nothing"))).is_not_offered
    assert (await failure(get(polar, "../refunds/?a=b"))).is_not_offered
    assert site.count("refunds") == 0


# --- which Polar -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "url", "product"),
    [
        ({"PORT": "8123"}, "http://127.0.0.1:8123/dev/polar", "dev"),
        ({"POLAR_ACCESS_TOKEN": "t", "POLAR_PRODUCT_ID": "p"}, "https://sandbox-api.polar.sh", "p"),
        ({"POLAR_ACCESS_TOKEN": "t", "POLAR_ENV": "production"}, "https://api.polar.sh", ""),
        ({"POLAR_ACCESS_TOKEN": "t", "POLAR_BASE_URL": "http://127.0.0.1:9/"}, "http://127.0.0.1:9", ""),
    ],
)
async def test_which_polar_is_asked(variables: dict[str, str], url: str, product: str) -> None:
    settings = read_settings(variables, default_environment="development")
    polar = open_polar(settings)
    assert repr(polar) == f"<PolarClient of {url}>"
    assert product_of(settings) == product
    await polar.aclose()


def test_members_read_sentences_of_ours() -> None:
    sentences = [text for name, text in vars(polar_outcomes).items() if name.isupper() and isinstance(text, str)]
    assert len(sentences) == 7
    for sentence in sentences:
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert not any(word in sentence for word in ("Polar", "API", "HTTP"))
