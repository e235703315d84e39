"""Polar's webhooks, posted as Polar posts them: what counts, what is refused, and what is sent again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from schema.billing import LedgerEntry, Payment
from schema.deliveries import RECONCILIATION_ID, Delivery, ParkedOrder, Reconciliation
from schema.reader import Reader
from schema.users import User
from schema.values import Id, days
from server.functions.deliveries import MAX_PLAIN_ID_CHARS, delivery_id
from server.store import mongo
from server.store.embedded import EmbeddedMongod
from server.web import webhooks
from tests.scenarios.conftest import Meet
from tests.scenarios.stock import commit, found, member, now, one, put
from tests.scenarios.test_credits import check_books
from tests.support.http import http_client
from tests.support.live import DEADLINE_S, Value, world_client
from tests.support.webhooks import Prefix, Sender, fixture, new_id, sign
from tests.support.world import World, open_world

BUYER = "user_2fakeFAKEfakeFAKEfakeFAKE01"
GRANTED, SKIPPED, NOTHING = (
    {"granted": 20, "skipped": False},
    {"granted": 0, "skipped": True},
    {"granted": 0, "skipped": False},
)
TRIAL = 10


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(timeout=DEADLINE_S) as client:
        yield client


@pytest.fixture
def polar(town: World, http: httpx.AsyncClient) -> Sender:
    """Polar, as the town knows it."""
    return Sender(town, http, "webhook")


def order_paid(order_id: str, buyer: str, **more: Value) -> Value:
    """The fixture's event, about another order and another buyer."""
    event = json.loads(fixture("order.paid.json"))
    event["data"] |= {
        "id": order_id,
        "checkout_id": f"checkout of {order_id}",
        "customer_id": f"customer of {buyer}",
        **more,
    }
    event["data"]["metadata"] = {"userId": buyer, "packs": 2, "creditsPerPack": 10}
    event["data"]["customer"] |= {"id": f"customer of {buyer}", "external_id": buyer}
    return event


def unique(name: str) -> str:
    return f"{name} {new_id()}"


async def delivery(world: World, message_id: str) -> Delivery | None:
    return await one(world, Delivery, delivery_id("polar", message_id))


async def rows(world: World) -> int:
    """Everything in the database that a webhook could have made."""

    async def count(db: Reader) -> int:
        told = await db.count(Delivery.by_provider_and_received.eq(provider="polar"))
        people, parked = await db.count(User.by_user_id.all()), await db.count(ParkedOrder.by_created.all())
        return (
            told + people + parked + await db.count(Payment.by_created.all()) + await db.count(LedgerEntry.by_key.all())
        )

    return await count(await world.runtime.database.newest())


# --- what counts -----------------------------------------------------------------------------------------------------


async def test_polars_own_documents_do_what_they_say(world: World, http: httpx.AsyncClient) -> None:
    """All of them in Polar's order, byte for byte; then all again under new ids and the other address."""
    polar = Sender(world, http, "webhook")
    story = (
        ("checkout.created.json", NOTHING, "ignored", TRIAL), ("checkout.updated.confirmed.json", NOTHING, "ignored", TRIAL),
        ("order.created.json", None, None, None), ("order.updated.json", None, None, None),
        ("order.paid.json", None, None, TRIAL + 20), ("checkout.updated.succeeded.json", NOTHING, "ignored", TRIAL + 20),
        ("refund.created.json", NOTHING, "ignored", TRIAL + 20),
        ("order.refunded.partial.json", NOTHING, "applied", TRIAL + 12),
        ("order.refunded.second_partial_completes.json", NOTHING, "applied", TRIAL),
        ("checkout.expired.json", NOTHING, "ignored", TRIAL), ("unknown_event.json", NOTHING, "ignored", TRIAL),
    )  # fmt: skip
    async with world_client(world, BUYER) as buyer:
        await buyer.mutation("users:ensureUser")
        balance = await buyer.watch("users:getCurrentUserCredits")
        granted = 0
        for name, answer, outcome, credits_then in story:
            message_id = new_id()
            reply = await polar.send(fixture(name), message_id=message_id)
            assert reply.status_code == 202, (name, reply.text)
            granted += reply.json()["granted"]
            stored = await delivery(world, message_id)
            assert stored is not None
            assert stored.kind == json.loads(fixture(name))["type"]
            assert stored.subject == json.loads(fixture(name))["data"]["id"]
            assert stored.expires_at == int(stored.received_at + days(90))
            if answer is not None:
                assert (reply.json(), stored.outcome) == (answer, outcome), name
            if credits_then is not None:
                await balance.until(lambda value, wanted=credits_then: value["credits"] == wanted)  # type: ignore[misc]
        assert granted == 20
        for name, *_ in story:
            reply = await polar.send(fixture(name), path="/polar/orders")
            assert (reply.status_code, reply.json()["granted"]) == (202, 0)
        await check_books(world, BUYER, TRIAL)
    (payment,) = await found(world, Payment.by_user_id.eq(user_id=BUYER))
    assert (payment.status, payment.refunded_cents, payment.credits_revoked) == ("refunded", 1_000, 20)


async def test_a_payment_is_granted_once_however_often_it_is_told(town: World, polar: Sender, meet: Meet) -> None:
    async with meet("ana") as ana:
        event, message_id = order_paid(unique("order"), str(ana.subject)), new_id()
        replies = await asyncio.gather(*(polar.send(event, message_id=message_id) for _ in range(5)))
        replies += await asyncio.gather(*(polar.send(event) for _ in range(5)))
        assert {reply.status_code for reply in replies} == {202}
        assert sorted(reply.json()["granted"] for reply in replies) == [0] * 9 + [20]
        assert [reply.json() for reply in replies].count(SKIPPED) == 9
        await check_books(town, ana.subject, TRIAL + 20)


async def test_the_same_id_is_applied_once_whatever_it_carries_later(town: World, polar: Sender, meet: Meet) -> None:
    async with meet("ana") as ana:
        message_id = new_id()
        first = await polar.send(order_paid(unique("order"), str(ana.subject)), message_id=message_id)
        again = await polar.send(order_paid(unique("order"), str(ana.subject)), message_id=message_id)
        assert (first.json(), again.json()) == (GRANTED, SKIPPED)
        assert len(await found(town, Payment.by_user_id.eq(user_id=ana.subject))) == 1


@pytest.mark.parametrize("length", [MAX_PLAIN_ID_CHARS, MAX_PLAIN_ID_CHARS + 1, 256])
async def test_a_long_id_is_an_id(town: World, polar: Sender, length: int) -> None:
    message_id = new_id().ljust(length, "x")
    event = {"type": "product.created", "data": {"id": "p"}}
    assert [(await polar.send(event, message_id=message_id)).json() for _ in range(2)] == [NOTHING, SKIPPED]
    stored = await delivery(town, message_id)
    assert stored is not None
    assert stored.kind == "product.created"


async def test_an_unknown_event_is_remembered_and_ignored(town: World, polar: Sender) -> None:
    for event in (
        {"type": "wallet.sparkled", "data": {"id": "w"}, "more": 1},
        {"type": "x" * 500, "data": {"id": "y" * 5_000}},
        {"type": "odd.thing", "data": [1, 2]},
        {"type": "bare.thing"},
    ):
        message_id = new_id()
        reply = await polar.send(event, message_id=message_id)
        assert (reply.status_code, reply.json()) == (202, NOTHING)
        stored = await delivery(town, message_id)
        assert stored is not None
        assert stored.outcome == "ignored"


# --- what is refused -------------------------------------------------------------------------------------------------


async def test_what_is_not_polars_is_refused_and_touches_nothing(town: World, polar: Sender, meet: Meet) -> None:
    async with meet("ana") as ana:
        body = json.dumps(order_paid(unique("order"), str(ana.subject))).encode()
        good = sign(polar.key, body, new_id(), time.time())
        before, refused = await rows(town), town.runtime.webhooks.refused
        forgeries = [
            (body, sign(b"another secret", body, new_id(), time.time())),
            (body, sign(polar.key, body, new_id(), time.time() - 310)),
            (body, sign(polar.key, body, new_id(), time.time() + 310)),
            (body.replace(b'"packs": 2', b'"packs": 9'), good),
            (body + b" ", good),
            (body, {**good, "webhook-id": new_id()}),
            (body, {**good, "webhook-signature": "v1,"}),
            (body, {**good, "webhook-signature": good["webhook-signature"].replace("v1,", "v1a,")}),
            *((body, {name: value for name, value in good.items() if name != left_out}) for left_out in list(good)[:3]),
            (b"{not json", good),
            (b"", {}),
        ]
        answers = {(reply.status_code, reply.text) for reply in [await polar.post(*each) for each in forgeries]}
        assert answers == {(403, '{"code":"Forbidden","message":"The signature was not accepted."}')}
        assert await rows(town) == before
        assert town.runtime.webhooks.refused - refused == len(forgeries)
        assert (await polar.post(body, good)).json() == GRANTED


async def test_clerks_secret_and_header_names_are_not_polars(
    town: World, polar: Sender, http: httpx.AsyncClient
) -> None:
    clerk = Sender(town, http, "svix")
    body = b'{"type":"wallet.sparkled","data":{}}'
    assert polar.key != clerk.key
    cases: tuple[tuple[bytes, Prefix, int], ...] = (
        (clerk.key, "webhook", 403), (polar.key, "svix", 403), (polar.key, "webhook", 202)
    )  # fmt: skip
    for key, prefix, status in cases:
        assert (await polar.post(body, sign(key, body, new_id(), time.time(), prefix))).status_code == status


@pytest.mark.parametrize("path", ["/webhooks/polar", "/polar/orders", "/webhooks/clerk"])
async def test_these_addresses_take_posts_of_moderate_size(town: World, polar: Sender, path: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        reply = await http_client().request(method, f"{town.url}{path}")
        assert (reply.status_code, reply.json()["code"]) == (405, "MethodNotAllowed")
    for size, status in (((1 << 20) + 1, 413), (2 << 20, 413), (1 << 20, 403)):
        reply = await polar.post(b"x" * size, sign(b"nobody", b"", new_id(), time.time()), path)
        assert reply.status_code == status


async def test_a_large_event_of_polars_is_read(polar: Sender) -> None:
    body = json.dumps({"type": "wallet.sparkled", "data": {}, "filler": ""}).encode()
    whole = body.replace(b'"filler": "', b'"filler": "' + b"x" * ((1 << 20) - len(body)))
    assert len(whole) == 1 << 20
    assert (await polar.send(whole)).status_code == 202


# --- what is sent again ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"{not json", b"", b"[]", b"null", b'{"data":{}}', b'{"type":7}', b"\xff", b"[" * 5_000]
)
async def test_what_is_signed_and_no_event_is_its_senders_mistake(town: World, polar: Sender, body: bytes) -> None:
    before = await rows(town)
    reply = await polar.send(body)
    assert (reply.status_code, reply.json()["code"]) == (400, "BadRequest")
    assert await rows(town) == before


@pytest.mark.parametrize(
    "event",
    [
        {"type": "order.paid", "data": {"id": "an order"}},
        {"type": "order.refunded", "data": {}},
        {"type": "order.updated", "data": "text"},
        {"type": "order.created"},
        order_paid("an order", "ana", net_amount="1000"),
    ],
    ids=lambda event: event["type"],
)
async def test_an_order_that_cannot_be_read_is_asked_for_again(
    town: World, polar: Sender, event: Value, caplog: pytest.LogCaptureFixture
) -> None:
    message_id, failed, before = new_id(), town.runtime.webhooks.failed, await rows(town)
    for _ in range(2):
        assert (await polar.send(event, message_id=message_id)).status_code == 500
    assert await delivery(town, message_id) is None
    assert (await rows(town), town.runtime.webhooks.failed) == (before, failed + 2)
    (told, _) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert message_id in told.getMessage()


async def test_a_checkout_that_cannot_be_read_is_told_to_operators_and_not_asked_for_again(
    town: World, polar: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    message_id = new_id()
    reply = await polar.send({"type": "checkout.updated", "data": {"id": "c", "status": 7}}, message_id=message_id)
    assert (reply.status_code, reply.json()) == (202, NOTHING)
    stored = await delivery(town, message_id)
    assert stored is not None
    assert (stored.outcome, stored.subject) == ("ignored", "c")
    assert [message_id in record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [True]


async def test_while_the_database_is_away_polar_is_told_to_come_back(
    tmp_path: Path, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with EmbeddedMongod(tmp_path) as mongod, open_world(mongod.uri) as world:
        polar = Sender(world, http, "webhook")
        event, message_id = order_paid("order", "ana"), new_id()
        assert mongod.pid is not None
        os.kill(mongod.pid, signal.SIGSTOP)
        try:
            with monkeypatch.context() as hasty:  # only while it is away: to come back takes its time on a busy machine
                hasty.setattr(mongo, "TRANSACTION_DEADLINE_S", 1.0)
                hasty.setattr(webhooks, "DEADLINE_S", 2.0)
                away = await polar.send(event, message_id=message_id)
            stranger = await polar.post(b"{}", sign(b"another secret", b"{}", new_id(), time.time()))
        finally:
            os.kill(mongod.pid, signal.SIGCONT)
        assert (away.status_code, away.json()["code"]) == (503, "Overloaded")
        assert stranger.status_code == 403
        assert (await polar.send(event, message_id=message_id)).status_code == 202
        assert (await member(world, "ana")).credits == TRIAL + 20
        assert len(await found(world, Payment.by_user_id.eq(user_id="ana"))) == 1


# --- configured secrets, and what operators see ----------------------------------------------------------------------


async def test_the_secrets_of_the_environment_count_the_old_one_too(mongod_uri: str, http: httpx.AsyncClient) -> None:
    old, new = "polar_whs_FAKEold", "whsec_ZmFrZS1mYWtlLWZha2UtZmFrZS1mYWtlLWZha2UtMzI="
    async with open_world(mongod_uri, POLAR_WEBHOOK_SECRET=f"{new}, {old}") as world:
        assert world.runtime.polar_webhook_secrets == (new, old)
        polar, body = Sender(world, http, "webhook"), fixture("unknown_event.json")
        keys = (new.encode(), b"fake-fake-fake-fake-fake-fake-32", old.encode(), b"polar_whs_FAKEolder")
        replies = [await polar.post(body, sign(key, body, new_id(), time.time())) for key in keys]
        assert [reply.status_code for reply in replies] == [202, 202, 202, 403]


async def test_the_health_of_webhooks_is_live(world: World, http: httpx.AsyncClient) -> None:
    polar = Sender(world, http, "webhook")
    async with world_client(world, "root", admin=True) as root:
        health = await root.watch("admin:getWebhookHealth")
        assert health.value == {
            "lastPolarAt": None, "lastClerkAt": None, "deliveries24h": 0, "skipped24h": 0, "parkedOrders": 0,
            "oldestParkedAt": None, "foundByReconcile": 0, "reconciledAt": health.value["reconciledAt"],
        }  # fmt: skip
        event = order_paid("order", "ana")
        for _ in range(2):
            await polar.send(event)
        seen = await health.until(lambda value: value["deliveries24h"] == 2)
        assert seen["skipped24h"] == 1
        assert abs(seen["lastPolarAt"] - now()) < days(1)
        assert seen["lastClerkAt"] is None

        await polar.send(order_paid("a wrong price", "ana", net_amount=7))
        parked = await health.until(lambda value: value["parkedOrders"] == 1)
        assert parked["oldestParkedAt"] == parked["lastPolarAt"]

        long_ago = now() - days(2)
        await put(
            world,
            Delivery(
                id=Id("clerk:old"), provider="clerk", kind="user.created", subject="x", outcome="applied",
                received_at=long_ago, expires_at=now() + days(88),
            ),
        )  # fmt: skip
        seen = await health.until(lambda value: value["lastClerkAt"] is not None)
        assert (seen["lastClerkAt"], seen["deliveries24h"]) == (long_ago, 3)
        compared = Reconciliation(id=RECONCILIATION_ID, reached_at=1.0, ran_at=2.0, found=3)
        await commit(world, lambda db: db.put(compared))  # the worker's own comparison may have left one
        seen = await health.until(lambda value: value["foundByReconcile"] == 3)
        assert seen["reconciledAt"] == 2.0


async def test_what_came_is_counted(world: World, http: httpx.AsyncClient) -> None:
    polar = Sender(world, http, "webhook")
    await polar.send(fixture("unknown_event.json"))
    await polar.send({"type": "order.paid"})
    await polar.post(b"{}", {})
    lines = (await http.get(f"{world.url}/metrics")).text.splitlines()
    counted = dict(line.split() for line in lines if line.startswith("anime_webhooks"))
    assert counted == {
        "anime_webhooks_received_total": "2", "anime_webhooks_refused_total": "1", "anime_webhooks_failed_total": "1"
    }  # fmt: skip
