"""The story of the public wall: members put results on it, visitors see it change, moderators have the last word."""

from __future__ import annotations

import pytest

from schema.images import Image
from schema.moderation import MODERATION_SETTINGS_ID, ModerationSettings
from schema.values import Scalar
from tests.scenarios.stock import change, ids, now, original_of, paged, put, result_of
from tests.support.live import LiveClient, Refusal, Screen, world_client
from tests.support.world import World

WALL = "images:getPublicGallery"
SHOWN_TO_EVERYBODY = {
    "_id",
    "_creationTime",
    "body",
    "url",
    "createdAt",
    "featuredAt",
    "isGenerated",
    "isFeatured",
    "isDisabledByAdmin",
    "contentType",
    "originalWidth",
    "originalHeight",
    "placeholderBlurDataUrl",
}


async def wall_of(person: LiveClient) -> Screen:
    return await person.watch(WALL, **paged())


async def feature(person: LiveClient, image_id: str, is_featured: bool = True) -> None:
    await person.mutation("images:updateFeaturedStatus", imageId=image_id, isFeatured=is_featured)


async def test_a_visitor_sees_pictures_come_and_go(world: World) -> None:
    async with world_client(world, "ana") as ana, world_client(world, "ben") as ben, world_client(world) as visitor:
        first, second = await put(world, result_of("ana", 1.0), result_of("ana", 2.0))
        (bens,) = await put(world, result_of("ben", 3.0))
        wall = await wall_of(visitor)
        assert ids(wall.value) == []

        await feature(ana, second.id)
        await feature(ben, bens.id)
        await feature(ana, first.id)
        await wall.until(lambda page: ids(page) == [first.id, bens.id, second.id])

        await feature(ana, second.id)  # it is on the wall already and keeps its place
        await feature(ana, first.id, False)
        await wall.until(lambda page: ids(page) == [bens.id, second.id])
        await feature(ana, first.id)
        await wall.until(lambda page: ids(page) == [first.id, bens.id, second.id])

        await ben.mutation("images:deleteImage", imageId=bens.id)
        await wall.until(lambda page: ids(page) == [first.id, second.id])
        assert wall.value == (await wall_of(ana)).value


async def test_who_made_a_picture_stays_private(world: World) -> None:
    async with world_client(world, "ana") as ana, world_client(world) as visitor:
        more: dict[str, Scalar] = {
            "generation_error": "secret",
            "share_expires_at": 5.0,
            "sharing_enabled": True,
            "original_size_bytes": 10,
            "content_type": "image/webp",
            "original_width": 10,
            "original_height": 20,
            "placeholder_blur_data_url": "data:,",
        }
        (image,) = await put(world, result_of("ana", 1.0, **more))
        await feature(ana, image.id)
        wall = await wall_of(visitor)
        (shown,) = wall.value["page"]
        assert set(shown) == SHOWN_TO_EVERYBODY
        assert shown["url"].endswith(image.body)
        assert "ana" not in str(wall.value)


async def test_only_the_owners_results_can_be_featured(world: World) -> None:
    async with world_client(world, "ana") as ana, world_client(world, "ben") as ben:
        (original,) = await put(world, original_of("ana", 1.0))
        (result,) = await put(world, result_of("ana", 2.0))
        wall = await wall_of(ben)
        for person, image, code in ((ana, original, "CONFLICT"), (ben, result, "FORBIDDEN")):
            with pytest.raises(Refusal) as refusal:
                await feature(person, image.id)
            assert refusal.value.code == code
        with pytest.raises(Refusal) as refusal:
            await feature(ana, "nothing")
        assert refusal.value.code == "NOT_FOUND"
        assert (ids(wall.value), len(wall.answers)) == ([], 1)


async def test_a_disabled_picture_is_hidden_and_its_owner_reads_why(world: World) -> None:
    async with world_client(world, "ana") as ana, world_client(world) as visitor:
        (image,) = await put(world, result_of("ana", 1.0))
        await feature(ana, image.id)
        wall = await wall_of(visitor)
        assert ids(wall.value) == [image.id]

        reason = "It shows a street address."
        await change(world, Image, image.id, is_disabled_by_admin=True, disabled_by_admin_reason=reason)

        await wall.until(lambda page: ids(page) == [])
        with pytest.raises(Refusal) as refusal:
            await feature(ana, image.id)
        assert refusal.value.code == "MODERATED"
        assert refusal.value.data["reason"] == reason
        assert reason in refusal.value.message
        await feature(ana, image.id, False)
        with pytest.raises(Refusal) as refusal:
            await feature(ana, image.id)
        assert refusal.value.code == "MODERATED"

        await change(world, Image, image.id, is_disabled_by_admin=False)
        await feature(ana, image.id)
        await wall.until(lambda page: ids(page) == [image.id])


async def test_where_review_is_on_only_approved_pictures_show(world: World) -> None:
    async with world_client(world, "ana") as ana, world_client(world) as visitor:
        first, second = await put(world, result_of("ana", 1.0), result_of("ana", 2.0))
        for image in (first, second):
            await feature(ana, image.id)
        await change(world, Image, first.id, feature_approved_at=now(), feature_approved_by="root")
        wall = await wall_of(visitor)
        assert ids(wall.value) == [second.id, first.id]

        await put(world, ModerationSettings(id=MODERATION_SETTINGS_ID, require_approval=True))
        await wall.until(lambda page: ids(page) == [first.id])
        await change(world, Image, second.id, feature_approved_at=now())
        await wall.until(lambda page: ids(page) == [second.id, first.id])
        await feature(ana, first.id, False)
        await feature(ana, first.id)  # asked for anew, so it is reviewed anew
        await wall.until(lambda page: ids(page) == [second.id])

        await change(world, ModerationSettings, MODERATION_SETTINGS_ID, require_approval=False)
        await wall.until(lambda page: ids(page) == [first.id, second.id])
