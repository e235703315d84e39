"""Moderation and settings, live: what administrators do shows everywhere at once, and leaves a row."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from schema.images import Image
from schema.system import Job
from schema.users import AdminRole, User
from server.store.codec import encode
from tests.scenarios.conftest import Meet
from tests.scenarios.stock import change, found, member, now, one, paged, put, result_of
from tests.support.live import LiveClient, Refusal, world_client
from tests.support.world import World


async def featured(town: World, owner: LiveClient) -> Image:
    """A picture on the public wall."""
    (image,) = await put(town, result_of(owner.subject, now()))
    await owner.mutation("images:updateFeaturedStatus", imageId=image.id, isFeatured=True)
    return image


async def test_review_holds_an_image_back_until_it_is_approved(world: World) -> None:
    async with (
        world_client(world, "ana") as ana,
        world_client(world, "root", admin=True) as admin,
        world_client(world) as visitor,
    ):
        wall = await visitor.watch("images:getPublicGallery", **paged())
        await admin.mutation("admin:updateModerationSettings", requireApproval=True)
        image = await featured(world, ana)
        pending = await admin.watch("admin:getPendingFeaturedImages", **paged())
        await pending.until(lambda page: image.id in [each["_id"] for each in page["page"]])
        assert wall.value["page"] == []

        await admin.mutation("admin:approveFeaturedImage", imageId=image.id)

        assert [each["_id"] for each in (await wall.until(lambda page: page["page"] != []))["page"]] == [image.id]
        assert pending.value["page"] == []

        await admin.mutation("admin:rejectFeaturedImage", imageId=image.id, reason="too many cats")

        assert (await wall.until(lambda page: page["page"] == []))["page"] == []
        (own,) = (await ana.query_once("images:getGalleryImagesPaginated", **paged()))["page"]
        assert (own["isFeatured"], own["featureRejectionReason"]) == (False, "too many cats")
        log = await admin.query_once("admin:getAuditLog", **paged())
        assert [each["action"] for each in log["page"]] == ["image.rejected", "image.approved", "moderation.changed"]
        assert {each["actor"] for each in log["page"]} == {"root"}


async def test_a_disabled_image_is_gone_for_all_and_its_owner_reads_why(world: World) -> None:
    async with world_client(world, "ana") as ana, world_client(world, "root", admin=True) as admin:
        image = await featured(world, ana)
        wall = await ana.watch("images:getPublicGallery", **paged())
        await admin.mutation("admin:disableFeaturedImage", imageId=image.id, reason="not yours")
        await wall.until(lambda page: page["page"] == [])
        await ana.mutation("images:updateFeaturedStatus", imageId=image.id, isFeatured=False)
        with pytest.raises(Refusal, match="not yours") as refused:
            await ana.mutation("images:updateFeaturedStatus", imageId=image.id, isFeatured=True)
        assert refused.value.code == "MODERATED"
        await admin.mutation("admin:enableFeaturedImage", imageId=image.id)
        await ana.mutation("images:updateFeaturedStatus", imageId=image.id, isFeatured=True)
        await wall.until(lambda page: page["page"] != [])


async def test_the_role_comes_and_goes_in_open_sockets_and_the_last_one_stays(world: World) -> None:
    async with world_client(world, "root", admin=True) as root, world_client(world, "ben") as ben:
        bens = await ben.watch("admin:getAdminStatus")
        assert bens.value is False
        await root.mutation("admin:grantAdmin", userId="ben")
        assert await bens.until(lambda value: value is True)
        books = await ben.watch("admin:getBillingSettings")
        assert books.value["isDefault"] is True
        assert (books.value["updatedAt"], books.value["updatedBy"]) == (None, None)

        outcomes = await asyncio.gather(
            root.mutation("admin:revokeAdmin", userId="ben"),
            ben.mutation("admin:revokeAdmin", userId="root"),
            return_exceptions=True,
        )

        assert sum(isinstance(each, Refusal) for each in outcomes) == 1, "two who revoke each other leave one"
        (left,) = await found(world, AdminRole.by_user_id.all())
        last = root if left.user_id == "root" else ben
        with pytest.raises(Refusal) as refused:
            await last.mutation("admin:revokeAdmin", userId=left.user_id)
        assert refused.value.code == "CONFLICT"


async def test_credits_are_adjusted_through_the_ledger(town: World, meet: Meet) -> None:
    async with meet("ana") as ana, meet("root", admin=True) as admin:
        await ana.mutation("users:ensureUser")
        balance = await ana.watch("users:getCurrentUserCredits")
        adjusted = await admin.mutation("admin:adjustCredits", userId=ana.subject, amount=-4, reason="a mistake")
        assert adjusted == {"newBalance": 6}
        await balance.until(lambda value: value["credits"] == 6)
        with pytest.raises(Refusal) as refused:
            await admin.mutation("admin:adjustCredits", userId=ana.subject, amount=-7, reason="too much")
        assert refused.value.code == "INSUFFICIENT_CREDITS"
        assert (await member(town, str(ana.subject))).credits == 6


async def test_settings_take_effect_for_what_comes_next(world: World) -> None:
    async with world_client(world, "root", admin=True) as admin, world_client(world, "ana") as ana:
        new = {"packPriceCents": 700, "creditsPerPack": 50, "refundOnFailure": False, "freeTrialCredits": 3}
        await admin.mutation("admin:updateBillingSettings", **new)
        await ana.mutation("users:ensureUser")
        assert (await ana.query_once("users:getCurrentUserCredits"))["credits"] == 3
        seen = await admin.query_once("admin:getBillingSettings")
        assert {name: seen[name] for name in new} == new
        assert (seen["updatedBy"], seen["isDefault"]) == ("root", False)


async def test_images_from_before_the_flags_are_put_right(world: World) -> None:
    """Old images lack flags; an absent one is another index key than a false one, so they are on no list."""
    async with world_client(world, "root", admin=True) as admin:
        old = {**encode(result_of("ana", now(), is_featured=True)), "_id": "old", "_creationTime": now()}
        for flag in ("isDisabledByAdmin", "isGenerated"):
            del old[flag]
        await world.runtime.store.database["images"].insert_one(old, bypass_document_validation=True)
        featured = await admin.watch("images:getPublicGallery", **paged())
        assert featured.value["page"] == []

        assert await admin.mutation("admin:normalizeFeaturedFlags") == 1

        (shown,) = (await featured.until(lambda page: page["page"] != []))["page"]
        assert (shown["_id"], shown["featuredAt"]) == ("old", old["createdAt"])
        assert await admin.mutation("admin:normalizeFeaturedFlags") == 0
        assert len((await admin.query_once("admin:getAuditLog", **paged()))["page"]) == 1


async def test_what_was_given_up_is_shown_and_tried_again(world: World) -> None:
    async with world_client(world, "root", admin=True) as admin:
        (dead, photo) = await put(
            world,
            *(
                Job(kind=kind, subject="x", arguments="{}", state="dead", attempt=2, max_attempts=2, due_at=now(),
                    created_at=now(), reason="it broke")
                for kind in ("erase_file", "generate_image")
            ),
        )  # fmt: skip
        stuck = await admin.watch("admin:getStuckJobs", **paged())
        assert {each["_id"] for each in stuck.value["page"]} == {dead.id, photo.id}
        overview = await admin.query_once("admin:getOverview")
        assert (overview["deadJobs"], overview["users"], overview["imagesByStatus"]["failed"]) == (2, 0, 0)
        await admin.mutation("admin:retryJob", jobId=dead.id)
        await stuck.until(lambda page: [each["_id"] for each in page["page"]] == [photo.id])
        assert await one(world, Job, dead.id) is None
        with pytest.raises(Refusal) as refused:
            await admin.mutation("admin:retryJob", jobId=photo.id)
        assert refused.value.code == "CONFLICT"


async def test_the_first_administrator_is_made_from_outside(world: World) -> None:
    async def command(*arguments: str) -> str:
        env = {**os.environ, "MONGODB_URI": str(world.settings.mongodb_uri), "APP_ENV": "development"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "server", "admin", *arguments, env=env, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return out.decode().strip()

    async with world_client(world, "ana") as ana:
        status = await ana.watch("admin:getAdminStatus")
        assert await command("grant", "ana") == "ana is an administrator now"
        assert await status.until(lambda value: value is True)
        assert await command("list") == "ana"
        assert await command("revoke", "ana") == "ana is an administrator no longer"
        await status.until(lambda value: value is False)


async def test_members_are_listed_and_found_while_their_balances_move(world: World) -> None:
    async with world_client(world, "root", admin=True) as admin, world_client(world, "ana") as ana:
        everybody = await admin.watch("admin:getUsers", **paged())
        for name in ("root", "ana", "anatole", "ben"):
            async with world_client(world, name) as newcomer:
                await newcomer.mutation("users:ensureUser")
        await everybody.until(lambda page: len(page["page"]) == 4)
        assert [each["userId"] for each in everybody.value["page"]] == ["ben", "anatole", "ana", "root"]
        assert [each["isAdmin"] for each in everybody.value["page"]] == [False, False, False, True]
        assert {each["credits"] for each in everybody.value["page"]} == {10}

        ben = await member(world, "ben")
        await change(world, User, ben.id, email="ana@example.com", name="Ben")
        found_anas = await admin.watch("admin:findUsers", text="ana")
        assert [each["userId"] for each in found_anas.value] == ["ana", "anatole"]
        (by_address,) = await admin.query_once("admin:findUsers", text=" ana@example.com ")
        assert (by_address["userId"], by_address["name"]) == ("ben", "Ben")
        assert await admin.query_once("admin:findUsers", text="nobody") == []

        await admin.mutation("admin:adjustCredits", userId="ana", amount=-4, reason="a slip")

        await found_anas.until(lambda found: found[0]["credits"] == 6)
        await everybody.until(lambda page: {each["userId"]: each["credits"] for each in page["page"]}["ana"] == 6)
        for path, args in (("admin:getUsers", paged()), ("admin:findUsers", {"text": "ana"})):
            with pytest.raises(Refusal) as refusal:
                await ana.query_once(path, **args)
            assert refusal.value.code == "FORBIDDEN"
