"""Clerk's webhooks: newcomers are known by name, and who is deleted there is erased here, in whatever order it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from schema.billing import LedgerEntry, Payment
from schema.deliveries import Delivery
from schema.images import Image
from schema.system import Job
from schema.users import AdminRole, User
from server.functions.deliveries import delivery_id
from server.work import ERASE_MEMBER
from tests.scenarios.conftest import Meet
from tests.scenarios.stock import found, member, now, one, paged, put, result_of
from tests.scenarios.test_leaving import (
    a_drawing,
    check_closed,
    files_of,
    gallery_of,
    gone,
    images_of,
    is_stored,
    no_work_left,
    statuses,
)
from tests.support import pictures
from tests.support.http import http_client
from tests.support.live import DEADLINE_S, Value, world_client
from tests.support.webhooks import Sender, new_id
from tests.support.world import World, open_world

APPLIED, SKIPPED = {"granted": 0, "skipped": False}, {"granted": 0, "skipped": True}
VERIFIED = {"status": "verified", "strategy": "email_code"}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(timeout=DEADLINE_S) as client:
        yield client


@pytest.fixture
def clerk(town: World, http: httpx.AsyncClient) -> Sender:
    """Clerk, as the town knows it."""
    return Sender(town, http, "svix")


def person(kind: str, subject: str | None, **more: Value) -> Value:
    """A `user.created` or `user.updated` with what Clerk says beside what we read."""
    known = {
        "id": subject,
        "object": "user",
        "first_name": "Ana",
        "last_name": "Lima",
        "primary_email_address_id": "idn_2",
        "email_addresses": [
            {"id": "idn_1", "email_address": "other@example.com", "verification": VERIFIED},
            {"id": "idn_2", "email_address": "ana@example.com", "verification": VERIFIED, "linked_to": []},
        ],
        "updated_at": 1_795_168_805_123,
        "public_metadata": {"a": {"b": None}},
    }
    return {
        "type": kind,
        "object": "event",
        "data": {**known, **more},
        "timestamp": 1_795_168_805_123,
        "instance_id": "ins_x",
    }


def deleted(subject: str | None) -> Value:
    """The `user.deleted` of this person."""
    return {"type": "user.deleted", "object": "event", "data": {"id": subject, "object": "user", "deleted": True}}


def stranger() -> str:
    return f"user_{new_id()}"


async def erasures(world: World, subject: str) -> list[Job]:
    return [job for job in await found(world, Job.by_subject.eq(subject=subject)) if job.kind == ERASE_MEMBER.kind]


async def accounts(world: World, subject: str | None) -> list[User]:
    return list(await found(world, User.by_user_id.eq(user_id=subject)))


# --- who comes -------------------------------------------------------------------------------------------------------


async def test_a_newcomer_has_an_account_with_the_trial_before_the_page_asks(
    town: World, clerk: Sender, meet: Meet
) -> None:
    async with meet("ana") as ana:
        credit = await ana.watch("users:getCurrentUserCredits")
        assert credit.value["credits"] == 0
        reply = await clerk.send(person("user.created", ana.subject))
        assert (reply.status_code, reply.json()) == (202, APPLIED)
        await credit.until(lambda value: value["credits"] == 10)
        await ana.mutation("users:ensureUser")
        user = await member(town, str(ana.subject))
        assert (user.credits, user.email, user.name) == (10, "ana@example.com", "Ana Lima")


async def test_the_account_and_its_news_may_come_at_once(town: World, clerk: Sender, meet: Meet) -> None:
    async with meet("ana") as ana:
        sent = [clerk.send(person(kind, ana.subject)) for kind in ("user.created", "user.updated") for _ in range(3)]
        replies, _ = await asyncio.gather(asyncio.gather(*sent), ana.mutation("users:ensureUser"))
        assert {reply.status_code for reply in replies} == {202}
        user = await member(town, str(ana.subject))
        assert (user.credits, user.email) == (10, "ana@example.com")


@pytest.mark.parametrize(
    ("more", "name", "email"),
    [
        ({}, "Ana Lima", "ana@example.com"),
        ({"last_name": None}, "Ana", "ana@example.com"),
        ({"first_name": None, "last_name": ""}, None, "ana@example.com"),
        ({"first_name": "A\x1b[2J", "last_name": None}, None, "ana@example.com"),
        ({"first_name": "A" * 400}, None, "ana@example.com"),
        ({"primary_email_address_id": "idn_1"}, "Ana Lima", "other@example.com"),
        ({"primary_email_address_id": None}, "Ana Lima", None),
        ({"primary_email_address_id": "idn_9"}, "Ana Lima", None),
        ({"email_addresses": []}, "Ana Lima", None),
        *(
            ({"email_addresses": [{"id": "idn_2", "email_address": "a@b.c", "verification": each}]}, "Ana Lima", None)
            for each in (None, {}, {"status": "unverified"}, {"status": None})
        ),
    ],
)
async def test_an_update_is_what_is_known_from_then_on(
    town: World, clerk: Sender, more: Value, name: str | None, email: str | None
) -> None:
    subject = stranger()
    await clerk.send(person("user.created", subject, first_name="Before"))
    before = await member(town, subject)
    assert before.name == "Before Lima"
    assert (await clerk.send(person("user.updated", subject, **more))).status_code == 202
    user = await member(town, subject)
    assert (user.name, user.email, user.credits) == (name, email, before.credits)


async def test_what_is_told_twice_is_written_once(town: World, clerk: Sender) -> None:
    subject, message_id = stranger(), new_id()
    assert (await clerk.send(person("user.created", subject), message_id=message_id)).json() == APPLIED
    user = await member(town, subject)
    assert (await clerk.send(deleted(subject), message_id=message_id)).json() == SKIPPED
    assert (await clerk.send(person("user.updated", subject))).json() == APPLIED
    assert await member(town, subject) == user
    assert await erasures(town, subject) == []


@pytest.mark.parametrize(
    "event",
    [
        {"type": "session.created", "data": {"id": "sess_1", "user_id": "x"}},
        {"type": "user.created", "data": {"first_name": "nobody"}},
        {"type": "user.deleted", "data": {"deleted": True}},
        {"type": "user.deleted", "data": {"id": ""}},
        {"type": "user.deleted", "data": {"id": "x" * 256}},
        {"type": "user.updated"},
        {"type": "user.updated", "data": {"id": "x", "email_addresses": "all"}},
    ],
)
async def test_what_is_about_nobody_changes_nothing(
    town: World, clerk: Sender, event: Value, caplog: pytest.LogCaptureFixture
) -> None:
    message_id = new_id()
    reply = await clerk.send(event, message_id=message_id)
    assert (reply.status_code, reply.json()) == (202, APPLIED)
    stored = await one(town, Delivery, delivery_id("clerk", message_id))
    assert stored is not None
    assert stored.outcome == "ignored"
    told = [record.levelname for record in caplog.records if message_id in record.getMessage()]
    assert told == ([] if event["type"] == "session.created" else ["ERROR"])


async def test_only_clerk_may_say_so(town: World, clerk: Sender, meet: Meet) -> None:
    async with meet("ana") as ana:
        await ana.mutation("users:ensureUser")
        clerk.key = b"another secret"
        assert (await clerk.send(deleted(ana.subject))).status_code == 403
        assert await erasures(town, str(ana.subject)) == []


async def test_the_standard_key_of_a_configured_secret_counts(mongod_uri: str, http: httpx.AsyncClient) -> None:
    """Svix signs with the decoded secret."""
    secret = "whsec_ZmFrZS1mYWtlLWZha2UtZmFrZS1mYWtlLWZha2UtMzI="
    async with open_world(mongod_uri, CLERK_WEBHOOK_SECRET=secret) as world:
        clerk = Sender(world, http, "svix")
        clerk.key = b"fake-fake-fake-fake-fake-fake-32"
        assert (await clerk.send(person("user.created", "ana"))).status_code == 202
        assert (await member(world, "ana")).name == "Ana Lima"


# --- who goes --------------------------------------------------------------------------------------------------------


async def test_who_is_deleted_at_clerk_is_erased_here_and_the_payments_stay(
    town: World, clerk: Sender, meet: Meet
) -> None:
    async with meet("ana") as ana, meet("ben") as ben:
        for each in (ana, ben):
            await clerk.send(person("user.created", each.subject))
        gallery, bens = await gallery_of(ana), await gallery_of(ben)
        await a_drawing(ana, gallery)
        await a_drawing(ben, bens)
        await ana.upload(pictures.jpeg(64, 48))
        payment = Payment(
            order_id=f"order of {ana.subject}", user_id=str(ana.subject), amount_cents=500, credits_granted=0,
            status="paid", created_at=now(),
        )  # fmt: skip
        await put(town, payment)
        files = [row.id for row in await files_of(town, ana.subject)]
        addresses = [f"{town.url}/api/storage/{each}" for each in files]
        assert len(files) == 3
        kept = await images_of(town, ben.subject)

        reply = await clerk.send(deleted(ana.subject))

        assert (reply.status_code, reply.json()) == (202, APPLIED)
        await gallery.until(lambda page: page["page"] == [])
        await gone(ana)
        for subject in (str(ana.subject), *files):
            await no_work_left(town, subject)
        assert await images_of(town, ana.subject) == []
        assert await files_of(town, ana.subject) == []
        assert [await is_stored(town, each) for each in files] == [False] * 3
        assert await statuses(ben, addresses) == [404] * 3
        assert await accounts(town, ana.subject) == []
        await check_closed(town, ana.subject)
        assert [each.order_id for each in await found(town, Payment.by_user_id.eq(user_id=ana.subject))] == [
            payment.order_id
        ]
        assert await found(town, LedgerEntry.by_user_and_created.eq(user_id=ana.subject))

        assert await images_of(town, ben.subject) == kept
        assert (await member(town, str(ben.subject))).email == "ana@example.com"


@pytest.mark.parametrize("late", ["user.created", "user.updated"])
async def test_who_was_deleted_is_not_made_anew_by_what_comes_late(town: World, clerk: Sender, late: str) -> None:
    subject = stranger()
    assert (await clerk.send(deleted(subject))).json() == APPLIED
    assert (await clerk.send(person(late, subject))).json() == SKIPPED
    await no_work_left(town, subject)
    assert (await clerk.send(person(late, subject))).json() == SKIPPED
    assert await accounts(town, subject) == []
    assert await found(town, LedgerEntry.by_user_and_created.eq(user_id=subject)) == []


async def test_creation_and_deletion_at_once_end_with_nobody(town: World, clerk: Sender) -> None:
    subject = stranger()
    events = [person("user.created", subject), deleted(subject), person("user.updated", subject), deleted(subject)] * 2
    replies = await asyncio.gather(*(clerk.send(event) for event in events))
    assert {reply.status_code for reply in replies} == {202}
    await no_work_left(town, subject)
    assert await accounts(town, subject) == []
    await check_closed(town, subject)


async def test_a_second_deletion_waits_for_the_first(town: World, clerk: Sender) -> None:
    subject = stranger()
    later = Job(
        kind=ERASE_MEMBER.kind, subject=subject, arguments="{}", state="queued", attempt=1, max_attempts=10,
        due_at=now() + 3_600_000, created_at=now(),
    )  # fmt: skip
    (waiting,) = await put(town, later)
    assert (await clerk.send(deleted(subject))).json() == SKIPPED
    assert [job.id for job in await erasures(town, subject)] == [waiting.id]
    assert (await clerk.send(person("user.updated", subject))).json() == SKIPPED
    assert await accounts(town, subject) == []


async def test_who_left_and_came_back_is_known_by_name_again(town: World, clerk: Sender, meet: Meet) -> None:
    async with meet("ana") as ana:
        await clerk.send(person("user.created", ana.subject))
        await ana.mutation("users:deleteMyAccount")
        await gone(ana)
        await no_work_left(town, str(ana.subject))
        await ana.mutation("users:ensureUser")
        assert (await member(town, str(ana.subject))).email is None
        assert (await clerk.send(person("user.updated", ana.subject))).json() == APPLIED
        assert (await member(town, str(ana.subject))).email == "ana@example.com"


async def test_the_last_administrator_goes_too_and_operators_are_told(
    world: World, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    clerk = Sender(world, http, "svix")
    async with world_client(world, "root", admin=True) as root:
        await root.mutation("users:ensureUser")
        await put(world, result_of("root", 1.0))
        gallery, role = (
            await root.watch("images:getGalleryImagesPaginated", **paged()),
            await root.watch("admin:getAdminStatus"),
        )
        assert (await clerk.send(deleted("root"))).status_code == 202
        await gallery.until(lambda page: page["page"] == [])
        await role.until(lambda value: value is False)
    assert await found(world, AdminRole.by_user_id.all()) == []
    assert await found(world, Image.by_user.eq(user_id="root")) == []
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len([text for text in warnings if "the last administrator is gone" in text]) == 1
