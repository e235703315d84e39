"""The story of leaving: what was a member's goes, live and for good, and the books stay; nobody else notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from jobs.queue import of_subject
from schema.billing import CheckoutSession, LedgerEntry, Payment
from schema.blobs import Blob
from schema.images import Image
from schema.reader import Reader
from schema.system import Job
from schema.users import AdminRole, User
from schema.values import Id
from server import worker
from server.config import read_settings
from server.feed import HubFeed
from server.functions.erasure import BATCH, Eraser
from server.ids import capability_id
from server.processes import listening, serving, working
from server.runtime import open_runtime
from server.store.gridfs import BlobMissing
from tests.scenarios.conftest import Meet
from tests.scenarios.stock import found, give, ids, member, now, paged, put, result_of
from tests.scenarios.test_credits import check_books
from tests.support import pictures
from tests.support.live import LiveClient, Refusal, Screen, Value, world_client
from tests.support.world import World, free_port, fresh_database

LEAVE = "users:deleteMyAccount"
WALL = "images:getPublicGallery"
PATIENCE_S = 20.0
MANY = 6 * BATCH


async def gallery_of(person: LiveClient) -> Screen:
    return await person.watch("images:getGalleryImagesPaginated", **paged())


async def images_of(world: World, subject: str | None) -> list[Image]:
    return list(await found(world, Image.by_user.eq(user_id=subject)))


async def files_of(world: World, subject: str | None) -> list[Blob]:
    rows = [row for kind in ("upload", "result") for row in await found(world, Blob.by_claimed.eq(kind=kind))]
    return [row for row in rows if row.owner == subject]


async def is_stored(world: World, blob_id: str) -> bool:
    try:
        return bool([piece async for piece in world.runtime.vault.read(blob_id)])
    except BlobMissing:
        return False


async def statuses(person: LiveClient, addresses: list[str]) -> list[int]:
    return [(await person.http.get(each)).status_code for each in addresses]


async def a_drawing(person: LiveClient, gallery: Screen) -> Value:
    """A photo of this person and the result that came of it, which is returned."""
    original = await person.photo()
    page = await gallery.until(lambda page: original in [each.get("originalImageId") for each in page["page"]])
    return next(each for each in page["page"] if each.get("originalImageId") == original)


async def gone(person: LiveClient) -> None:
    """Wait for the end of somebody's account."""
    credit = await person.watch("users:getCurrentUserCredits")
    await credit.until(lambda value: value == {"credits": 0, "hasFreeTrial": True})


async def test_all_that_was_ones_own_goes_and_the_books_stay(town: World, meet: Meet) -> None:
    async with (
        meet("ana", admin=True) as ana,
        meet("another", admin=True),
        meet("ben") as ben,
        world_client(town) as visitor,
    ):
        gallery, bens = await gallery_of(ana), await gallery_of(ben)
        result, other = await a_drawing(ana, gallery), await a_drawing(ben, bens)
        unused = await ana.upload(pictures.jpeg(64, 48))
        for person, image in ((ana, result), (ben, other)):
            await person.mutation("images:updateFeaturedStatus", imageId=image["_id"], isFeatured=True)
        wall = await visitor.watch(WALL, **paged())
        assert {result["_id"], other["_id"]} <= set(ids(wall.value))
        await put(
            town,
            Payment(
                order_id=f"order of {ana.subject}", user_id=str(ana.subject), amount_cents=500, credits_granted=0,
                status="paid", created_at=now(),
            ),
        )  # fmt: skip
        await put(
            town,
            CheckoutSession(
                user_id=str(ana.subject),
                status="pending",
                created_at=now(),
                packs=1,
                credits_per_pack=420,
                amount_cents=500,
            ),
        )
        files = [row.id for row in await files_of(town, ana.subject)]
        addresses = [f"{town.url}/api/storage/{each}" for each in files]
        assert unused in files
        assert await statuses(visitor, addresses) == [200] * 3
        kept = await images_of(town, ben.subject)

        await ana.mutation(LEAVE)

        await wall.until(lambda page: result["_id"] not in ids(page))
        await gallery.until(lambda page: page["page"] == [])
        await gone(ana)
        assert await images_of(town, ana.subject) == []
        assert await files_of(town, ana.subject) == []
        assert await statuses(visitor, addresses) == [404] * 3
        assert list(await found(town, User.by_user_id.eq(user_id=ana.subject))) == []
        assert list(await found(town, CheckoutSession.by_user_id.eq(user_id=ana.subject))) == []
        assert list(await found(town, AdminRole.by_user_id.eq(user_id=ana.subject))) == []
        assert len(await found(town, Payment.by_user_id.eq(user_id=ana.subject))) == 1
        entries = await found(town, LedgerEntry.by_user_and_created.eq(user_id=ana.subject))
        assert [(each.kind, each.amount) for each in entries] == [("trial", 10), ("spend", -1), ("adjustment", -9)]

        assert other["_id"] in ids(wall.value)
        assert await images_of(town, ben.subject) == kept
        assert await statuses(visitor, [each["url"] for each in bens.value["page"]]) == [200]
        await check_books(town, ben.subject, 9)
        for each in files:
            await no_work_left(town, each)
            assert not await is_stored(town, each)


async def test_work_in_progress_is_cancelled(town: World, meet: Meet) -> None:
    async with meet("ana") as ana, AsyncExitStack() as stack:
        elsewhere = await stack.enter_async_context(world_client(town, ana.subject))
        gallery, active = await gallery_of(ana), await elsewhere.watch("images:hasActiveGenerations")
        originals = [await ana.photo() for _ in range(6)]

        await ana.mutation(LEAVE)

        await gallery.until(lambda page: page["page"] == [])
        await gone(ana)
        assert await images_of(town, ana.subject) == []
        assert await files_of(town, ana.subject) == []
        jobs = [job for each in originals for job in await found(town, Job.by_subject.eq(subject=each))]
        assert {job.state for job in jobs} <= {"cancelled", "succeeded"}
        await active.until(lambda value: value is False)
        await check_closed(town, ana.subject)
        kinds = [each.kind for each in await movements(town, ana.subject)]
        assert kinds.count("refund") == [job.state for job in jobs].count("cancelled")


async def test_who_comes_back_begins_anew_without_a_second_trial(town: World, meet: Meet) -> None:
    async with meet("ana") as ana:
        await ana.photo()
        await ana.mutation(LEAVE)
        await gone(ana)

        await ana.mutation("users:ensureUser")

        user = await member(town, str(ana.subject))
        assert user.credits == 0
        history = (await ana.query_once("users:getCreditHistory", **paged()))["page"]
        assert [each["kind"] for each in history].count("trial") == 1
        await check_closed(town, ana.subject, accounts=1)
        await give(town, str(ana.subject), 1)
        gallery = await gallery_of(ana)
        await a_drawing(ana, gallery)
        await check_books(town, ana.subject, 0)


async def test_leaving_twice_is_leaving_once(town: World, meet: Meet) -> None:
    async with meet("ana") as ana, world_client(town, ana.subject) as elsewhere, meet("ben") as ben:
        await ana.mutation("users:ensureUser")
        await put(town, *(result_of(ana.subject, 1.0 * number) for number in range(3)))
        await asyncio.gather(*(each.mutation(LEAVE) for each in (ana, elsewhere) for _ in range(2)))
        await gone(ana)
        await ana.mutation(LEAVE)
        await no_work_left(town, str(ana.subject))
        assert await images_of(town, ana.subject) == []
        await check_closed(town, ana.subject)
        await ben.mutation(LEAVE)  # who never had an account has nothing to lose
        await no_work_left(town, str(ben.subject))
        await check_closed(town, ben.subject)


async def test_asking_twice_takes_nothing_that_was_made_after_coming_back(town: World, meet: Meet) -> None:
    async with meet("ana") as ana:
        later = Job(
            kind="erase_member", subject=str(ana.subject), arguments="{}", state="queued", attempt=1, max_attempts=10,
            due_at=now() + 3_600_000, created_at=now(),
        )  # fmt: skip
        (waiting,) = await put(town, later)  # it failed once and waits for its next attempt
        for _ in range(2):
            await ana.mutation(LEAVE)
        jobs = await found(town, Job.by_subject.eq(subject=ana.subject))
        assert [job.id for job in jobs] == [waiting.id]


async def test_a_photo_that_comes_at_the_last_moment_goes_too(town: World, meet: Meet) -> None:
    async with meet("ana") as ana:
        await ana.mutation("users:ensureUser")
        uploads = await asyncio.gather(*(ana.upload(pictures.jpeg(64, 48)) for _ in range(6)))
        calls = [ana.mutation("images:uploadAndScheduleGeneration", storageId=each) for each in uploads]
        await asyncio.gather(ana.mutation(LEAVE), *calls, return_exceptions=True)
        await no_work_left(town, str(ana.subject))
        # What was paid before the account ended went with it; after that there was nothing to pay with.
        assert await images_of(town, ana.subject) == []


@asynccontextmanager
async def workless_world(mongod_uri: str, folder: Path) -> AsyncIterator[World]:
    """A product without a worker: the test has its own."""
    env = {"MONGODB_URI": fresh_database(mongod_uri), "PORT": str(free_port()), "DATA_DIR": str(folder)}
    settings = read_settings(env, default_environment="development")
    async with (
        listening(settings) as listener,
        open_runtime(settings) as runtime,
        serving(settings, runtime, listener),
    ):
        yield World(settings, runtime)
        await runtime.store.client.drop_database(runtime.store.database.name)


async def test_a_worker_stopped_in_the_middle_is_followed_by_another(
    mongod_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "DRAIN_GRACE_S", 0.0)
    async with workless_world(mongod_uri, tmp_path) as world, world_client(world, "ana") as ana:
        await ana.mutation("users:ensureUser")
        await put(world, *(result_of("ana", 1.0 * number) for number in range(MANY)))
        count = await ana.watch("images:getGalleryImagesCount")
        await ana.mutation(LEAVE)
        assert count.value == MANY

        async with working(world.runtime):
            await count.until(lambda value: value < MANY)

        left = await images_of(world, "ana")
        assert 0 < len(left) < MANY
        assert len(left) % BATCH == 0
        await check_books(world, "ana", 10)
        (job,) = await found(world, Job.by_subject.eq(subject="ana"))
        assert job.state == "queued"

        async with working(world.runtime):
            await gone(ana)
            await no_work_left(world, "ana")
        assert await images_of(world, "ana") == []
        await check_closed(world, "ana")


async def test_erasing_may_end_anywhere_and_begin_again(town: World, meet: Meet) -> None:
    async with meet("ana") as ana:
        await ana.mutation("users:ensureUser")
        await put(town, *(result_of(ana.subject, 1.0 * number) for number in range(2 * BATCH)))
        eraser = Eraser(town.runtime.database)
        count = await ana.watch("images:getGalleryImagesCount")
        erasing = asyncio.create_task(eraser.erase(erasure_of(str(ana.subject))))
        await count.until(lambda value: value < 2 * BATCH)
        erasing.cancel()
        await asyncio.gather(erasing, return_exceptions=True)
        for _ in range(2):
            await eraser.erase(erasure_of(str(ana.subject)))
            assert await images_of(town, ana.subject) == []
            await check_closed(town, ana.subject)


def erasure_of(subject: str) -> Job:
    return Job(
        id=Id(capability_id()), kind="erase_member", subject=subject, arguments="{}", state="leased", attempt=1,
        max_attempts=1, due_at=now(), created_at=now(),
    )  # fmt: skip


async def no_work_left(world: World, subject: str) -> None:
    """Wait until all jobs about this subject have succeeded."""

    async def states(db: Reader) -> set[str]:
        return {job.state for job in await of_subject(db, subject)}

    feed = HubFeed(world.runtime.database, world.runtime.hub)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            seen, change = await feed.look(states)
            if seen == {"succeeded"}:
                return
            await change.wait()


async def movements(world: World, subject: str | None) -> list[LedgerEntry]:
    return list(await found(world, LedgerEntry.by_user_and_created.eq(user_id=subject)))


async def check_closed(world: World, subject: str | None, accounts: int = 0) -> None:
    """Nothing is left on the books, and each line follows from the one before."""
    entries = await movements(world, subject)
    balance = 0
    for entry in entries:
        balance += entry.amount
        assert entry.balance_after == balance >= 0
    assert balance == 0
    assert len(await found(world, User.by_user_id.eq(user_id=subject))) == accounts


async def test_the_last_administrator_stays(world: World) -> None:
    async with world_client(world, "root", admin=True) as root:
        with pytest.raises(Refusal, match="the last administrator") as refused:
            await root.mutation("users:deleteMyAccount")
        assert refused.value.code == "CONFLICT"
