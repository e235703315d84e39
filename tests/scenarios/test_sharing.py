"""Sharing by link: who sees an image, until when, and what its file answers."""

from __future__ import annotations

from schema.blobs import Blob
from schema.images import Image
from schema.values import hours
from server.ids import capability_id
from tests.scenarios.conftest import Meet
from tests.scenarios.stock import change, now, put, result_of
from tests.support import pictures
from tests.support.live import LiveClient
from tests.support.world import World

SOON_HOURS = 1.5 / 3_600


async def shown(town: World, owner: LiveClient) -> Image:
    """A finished picture of somebody, with a real file."""
    content = pictures.webp(64, 48)
    blob_id = capability_id()
    size, sha256 = await town.runtime.vault.put(blob_id, content, "image/webp")
    (blob,) = await put(
        town,
        Blob(
            kind="result", owner=str(owner.subject), content_type="image/webp", size=size, sha256=sha256, width=64,
            height=48, placeholder="", uploaded_size=size, uploaded_content_type="image/webp", created_at=now(),
            claimed_at=now(), id=blob_id,  # type: ignore[arg-type]
        ),
    )  # fmt: skip
    (image,) = await put(town, result_of(owner.subject, now(), body=blob.id))
    return image


async def test_a_link_shows_an_image_until_sharing_ends(town: World, meet: Meet) -> None:
    async with meet("ana") as ana, meet("ben") as ben, meet("cleo", admin=True) as admin:
        image = await shown(town, ana)
        link = {"imageId": image.id}
        bens = await ben.watch("images:getImageById", **link)
        assert bens.value["url"].endswith(image.body)
        assert "userId" not in bens.value
        anas = await ana.watch("images:getImageById", **link)
        assert anas.value["userId"] == ana.subject

        await ana.mutation("images:updateShareSettings", **link, sharingEnabled=False)

        assert await bens.until(lambda value: value is None) is None
        assert (await admin.query_once("images:getImageById", **link))["_id"] == image.id
        assert (await ana.http.get(f"{town.url}/api/storage/{image.body}")).status_code == 404
        own = (await ana.query_once("images:getImageById", **link))["url"]
        assert (await ana.http.get(own)).status_code == 200
        assert (await ana.http.get(own[:-1] + "_")).status_code == 404

        await ana.mutation("images:updateShareSettings", **link, sharingEnabled=True)

        assert (await bens.until(lambda value: value is not None))["_id"] == image.id
        assert (await ana.http.get(f"{town.url}/api/storage/{image.body}")).status_code == 200


async def test_a_link_ends_by_itself_at_its_moment(town: World, meet: Meet) -> None:
    async with meet("ana") as ana, meet("ben") as ben:
        image = await shown(town, ana)
        await ana.mutation(
            "images:updateShareSettings", imageId=image.id, sharingEnabled=True, expirationHours=SOON_HOURS
        )
        screen = await ben.watch("images:getImageById", imageId=image.id)
        assert screen.value["shareExpiresAt"] > now() - hours(1)

        assert await screen.until(lambda value: value is None) is None

        assert (await ana.http.get(f"{town.url}/api/storage/{image.body}")).status_code == 404
        own = (await ana.query_once("images:getImageById", imageId=image.id))["url"]
        assert (await ana.http.get(own)).status_code == 200


async def test_a_disabled_image_is_for_its_owner_and_administrators(town: World, meet: Meet) -> None:
    async with meet("ana") as ana, meet("ben") as ben:
        image = await shown(town, ana)
        screen = await ben.watch("images:getImageById", imageId=image.id)
        await change(town, Image, image.id, is_disabled_by_admin=True, disabled_by_admin_reason="not yours")
        assert await screen.until(lambda value: value is None) is None
        assert (await ana.query_once("images:getImageById", imageId=image.id))["disabledByAdminReason"] == "not yours"


async def test_zero_hours_is_for_ever_and_a_link_to_nothing_is_null(town: World, meet: Meet) -> None:
    async with meet("ana") as ana:
        image = await shown(town, ana)
        await ana.mutation("images:updateShareSettings", imageId=image.id, sharingEnabled=True, expirationHours=0)
        assert "shareExpiresAt" not in await ana.query_once("images:getImageById", imageId=image.id)
        assert await ana.query_once("images:getImageById", imageId=capability_id()) is None
