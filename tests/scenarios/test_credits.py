"""The story of credits: given once, spent once, never below zero, and always the sum of what the history says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest

from schema.billing import LedgerEntry, Payment
from schema.blobs import Blob
from schema.images import Image
from schema.system import Job
from schema.values import Id
from tests.scenarios.conftest import Meet
from tests.scenarios.stock import change, end_trial_in, found, give, member, now, one, paged, put
from tests.support.live import Refusal, Value, world_client
from tests.support.pictures import jpeg
from tests.support.world import World

CREDITS = "users:getCurrentUserCredits"
GENERATE = "images:uploadAndScheduleGeneration"
NO_SUCH_UPLOAD = "storageId: there is no such upload; please upload the photo again"
USED_UPLOAD = "storageId: this upload was used already; please upload the photo again"


async def outcome(call: Awaitable[Value]) -> str:
    """Empty for success, else the code of the refusal."""
    try:
        await call
    except Refusal as refusal:
        return refusal.code or refusal.message
    return ""


async def check_books(world: World, subject: str | None, balance: int) -> None:
    """The balance is this, and every line of the ledger follows from the one before."""
    assert subject is not None
    user = await member(world, subject)
    entries = await found(world, LedgerEntry.by_user_and_created.eq(user_id=subject))
    assert user.credits == sum(entry.amount for entry in entries) == balance
    assert min([entry.balance_after for entry in entries], default=0) >= 0


async def test_the_trial_is_given_once_however_often_one_arrives(meet: Meet, town: World) -> None:
    async with meet("ana") as ana, AsyncExitStack() as stack:
        screen = await ana.watch(CREDITS)
        assert screen.value == {"credits": 0, "hasFreeTrial": True}
        others = [await stack.enter_async_context(world_client(town, ana.subject)) for _ in range(4)]
        await asyncio.gather(*(each.mutation("users:ensureUser") for each in [ana, *others] for _ in range(4)))
        assert screen.value == {"credits": 10, "hasFreeTrial": True}
        assert [each["credits"] for each in screen.values] == [0, 10]
        assert [
            (each["kind"], each["amount"])
            for each in (await ana.query_once("users:getCreditHistory", **paged()))["page"]
        ] == [("trial", 10)]
        await check_books(town, ana.subject, 10)


async def test_without_credits_nothing_happens(meet: Meet, town: World) -> None:
    async with meet("ana") as ana:
        assert ana.subject is not None
        await give(town, ana.subject, 0)
        storage_id = await ana.upload(jpeg())
        gallery = await ana.watch("images:getGalleryImagesPaginated", **paged())

        with pytest.raises(Refusal) as refusal:
            await ana.mutation(GENERATE, storageId=storage_id)

        assert refusal.value.code == "INSUFFICIENT_CREDITS"
        assert (refusal.value.data["needed"], refusal.value.data["available"]) == (1, 0)
        assert gallery.value["page"] == []
        upload = await one(town, Blob, storage_id)
        assert upload is not None
        assert upload.claimed_at is None
        await check_books(town, ana.subject, 0)
        await give(town, ana.subject, 1)
        await ana.mutation(GENERATE, storageId=storage_id)
        await check_books(town, ana.subject, 0)


async def test_ten_at_once_with_three_credits(meet: Meet, town: World) -> None:
    async with meet("ana") as ana, AsyncExitStack() as stack:
        assert ana.subject is not None
        await give(town, ana.subject, 3)
        others = [await stack.enter_async_context(world_client(town, ana.subject)) for _ in range(4)]
        uploads = await asyncio.gather(*(each.upload(jpeg()) for each in [ana, *others] for _ in range(2)))
        credit = await ana.watch(CREDITS)

        people = [ana, *others] * 2
        calls = [person.mutation(GENERATE, storageId=each) for person, each in zip(people, uploads, strict=True)]
        outcomes = await asyncio.gather(*(outcome(call) for call in calls))

        assert sorted(outcomes) == ["", "", "", *["INSUFFICIENT_CREDITS"] * 7]
        await credit.until(lambda value: value["credits"] == 0)
        await check_books(town, ana.subject, 0)
        images = await found(town, Image.by_user_and_kind.eq(user_id=ana.subject, is_generated=False))
        assert len(images) == 3
        jobs = [job for image in images for job in await found(town, Job.by_subject.eq(subject=image.id))]
        assert len(jobs) == 3
        claimed = [upload for upload in uploads if (await _blob(town, upload)).claimed_at is not None]
        assert sorted(claimed) == sorted(image.body for image in images)
        balances = [each["credits"] for each in credit.values]
        assert all(before > after for before, after in pairwise(balances))
        for image in images:  # their drawing is of no interest
            await ana.mutation("images:deleteImage", imageId=image.id)
        await check_books(town, ana.subject, (await member(town, ana.subject)).credits)


async def test_an_upload_is_used_once(meet: Meet, town: World) -> None:
    async with meet("ana") as ana, world_client(town, ana.subject) as elsewhere:
        storage_id = await ana.upload(jpeg())
        people = [ana, elsewhere, ana, elsewhere]
        calls = [outcome(person.mutation(GENERATE, storageId=storage_id)) for person in people]
        assert sorted(await asyncio.gather(*calls)) == ["", "VALIDATION", "VALIDATION", "VALIDATION"]
        with pytest.raises(Refusal) as refusal:
            await ana.mutation(GENERATE, storageId=storage_id)
        assert refusal.value.data == {"code": "VALIDATION", "field": "storageId", "message": USED_UPLOAD}
        await check_books(town, ana.subject, 9)


async def test_only_ones_own_uploads_can_be_used(meet: Meet, town: World) -> None:
    async with meet("ana") as ana, meet("ben") as ben:
        await ana.mutation("users:ensureUser")
        bens = await ben.upload(jpeg())
        result = Blob(
            id=Id(f"result-of-{ana.subject}"),
            kind="result",
            owner=str(ana.subject),
            content_type="image/webp",
            size=1,
            sha256="",
            width=1,
            height=1,
            placeholder="",
            uploaded_size=1,
            uploaded_content_type="image/webp",
            created_at=now(),
        )
        (drawn,) = await put(town, result)
        for storage_id in (bens, drawn.id, "made-up", "0" * 32):
            with pytest.raises(Refusal) as refusal:
                await ana.mutation(GENERATE, storageId=storage_id)
            assert refusal.value.data == {"code": "VALIDATION", "field": "storageId", "message": NO_SUCH_UPLOAD}
        await check_books(town, ana.subject, 10)
        assert (await _blob(town, bens)).claimed_at is None


async def test_the_trial_ends_by_itself(meet: Meet, town: World) -> None:
    async with meet("ana") as ana:
        await ana.mutation("users:ensureUser")
        screen = await ana.watch(CREDITS)
        assert ana.subject is not None
        await end_trial_in(town, ana.subject, seconds_left=1.0)
        assert await screen.until(lambda value: not value["hasFreeTrial"]) == {"credits": 10, "hasFreeTrial": False}
        assert [each["hasFreeTrial"] for each in screen.values] == [True, False]


async def test_the_trial_ends_with_the_first_payment(meet: Meet, town: World) -> None:
    async with meet("ana") as ana:
        await ana.mutation("users:ensureUser")
        screen = await ana.watch(CREDITS)
        paid = Payment(
            order_id=f"order of {ana.subject}",
            user_id=str(ana.subject),
            amount_cents=500,
            credits_granted=0,
            status="paid",
            created_at=now(),
        )
        await put(town, paid)
        assert await screen.until(lambda value: not value["hasFreeTrial"]) == {"credits": 10, "hasFreeTrial": False}


async def test_the_history_is_in_the_order_in_which_it_happened(meet: Meet, town: World) -> None:
    async with AsyncExitStack() as stack:
        for number in range(6):  # the trial and the first spend are one commit: what comes first must not be chance
            ana = await stack.enter_async_context(meet(f"ana{number}"))
            await ana.mutation("images:deleteImage", imageId=await ana.photo())
            history = (await ana.query_once("users:getCreditHistory", **paged()))["page"]
            assert [each["kind"] for each in history] == ["refund", "spend", "trial"]


async def test_a_balance_changed_by_hand_is_shown_at_once(meet: Meet, town: World) -> None:
    async with meet("ana") as ana:
        await ana.mutation("users:ensureUser")
        screen = await ana.watch(CREDITS)
        assert ana.subject is not None
        user = await member(town, ana.subject)
        await change(town, type(user), user.id, credits=42)
        await screen.until(lambda value: value["credits"] == 42)


async def _blob(world: World, storage_id: str) -> Blob:
    blob = await one(world, Blob, storage_id)
    assert blob is not None
    return blob
