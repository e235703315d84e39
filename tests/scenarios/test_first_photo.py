"""The story of a first photo: it appears at once, becomes a picture in its place, costs one credit, and can be taken back."""

from __future__ import annotations

import pytest

from schema.billing import LedgerEntry
from schema.images import Image
from schema.moderation import AuditEntry
from schema.system import Job
from schema.values import Id
from tests.scenarios.conftest import Meet
from tests.scenarios.stock import found, ids, one, paged, put, result_of
from tests.support.live import LiveClient, Refusal, Screen, Value
from tests.support.world import World

ACTIVE = ("pending", "processing")
NO_SUCH_IMAGE = "01hzzzzzzzzzzzzzzzzzzzzzzz"


async def gallery_of(person: LiveClient) -> Screen:
    return await person.watch("images:getGalleryImagesPaginated", **paged())


def has_result(page: Value) -> bool:
    return any(each["isGenerated"] for each in page["page"])


async def test_from_the_photo_to_the_picture(meet: Meet) -> None:
    async with meet("ana") as ana, meet("ben") as ben:
        await ana.mutation("users:ensureUser")
        gallery, bens = await gallery_of(ana), await gallery_of(ben)
        credit = await ana.watch("users:getCurrentUserCredits")
        active = await ana.watch("images:hasActiveGenerations")
        count = await ana.watch("images:getGalleryImagesCount")
        history = await ana.watch("users:getCreditHistory", **paged())
        assert (ids(gallery.value), active.value, count.value) == ([], False, 0)
        assert credit.value == {"credits": 10, "hasFreeTrial": True}
        first_step = len(ana.steps)

        original = await ana.photo()

        (pending,) = gallery.value["page"]
        assert pending["_id"] == original
        assert pending["generationStatus"] in ACTIVE
        assert (pending["originalWidth"], pending["originalHeight"], pending["contentType"]) == (96, 64, "image/jpeg")
        assert (credit.value["credits"], count.value) == (9, 1)
        assert (await ana.http.get(pending["url"])).headers["content-type"] == "image/jpeg"

        (result,) = (await gallery.until(has_result))["page"]

        assert (result["originalImageId"], result["generationStatus"]) == (original, "completed")
        assert (credit.value["credits"], active.value, count.value) == (9, False, 1)
        assert (await ana.http.get(result["url"])).headers["content-type"] == "image/webp"
        assert [(each["kind"], each["amount"], each["balanceAfter"]) for each in history.value["page"]] == [
            ("spend", -1, 9),
            ("trial", 10, 10),
        ]
        assert history.value["page"][0]["imageId"] == original

        for step in ana.steps[first_step:]:
            shown = step.value(gallery)["page"]
            assert step.value(count) == len(shown)
            assert step.value(active) == any(each["generationStatus"] in ACTIVE for each in shown)
            assert step.value(credit)["credits"] == 10 - len(shown)
            assert step.value(history)["page"][0]["balanceAfter"] == step.value(credit)["credits"]
        (spent,) = [step for step in ana.steps[first_step:] if credit.query_id in step.changed]
        assert {gallery.query_id, count.query_id, active.query_id, history.query_id} <= spent.changed

        assert await ben.query_once("users:getCurrentUserCredits") == {"credits": 0, "hasFreeTrial": True}
        assert (ids(bens.value), len(bens.answers)) == ([], 1)


async def test_a_photo_needs_no_account_made_beforehand(meet: Meet) -> None:
    async with meet("ana") as ana:
        credit = await ana.watch("users:getCurrentUserCredits")
        await ana.photo()
        assert credit.value == {"credits": 9, "hasFreeTrial": True}
        assert len(credit.answers) == 2


async def test_an_original_goes_with_its_results_and_all_files(meet: Meet) -> None:
    async with meet("ana") as ana:
        gallery = await gallery_of(ana)
        original = await ana.photo()
        addresses = [gallery.value["page"][0]["url"]]
        addresses.append((await gallery.until(has_result))["page"][0]["url"])
        assert [(await ana.http.get(each)).status_code for each in addresses] == [200, 200]

        deletion = await ana.mutation("images:deleteImage", imageId=original, includeGenerated=True)

        assert deletion == {"deletedTotal": 2, "deletedGenerated": 1, "actedAsAdmin": False}
        assert ids(gallery.value) == []
        assert [(await ana.http.get(each)).status_code for each in addresses] == [404, 404]
        assert (await ana.query_once("users:getCurrentUserCredits"))["credits"] == 9


async def test_a_result_may_go_alone(meet: Meet, town: World) -> None:
    async with meet("ana") as ana:
        (original,) = await put(town, Image(body=Id("b1"), user_id=ana.subject, created_at=1.0))
        (result,) = await put(town, result_of(ana.subject, 2.0, original_image_id=original.id))
        gallery = await gallery_of(ana)
        deletion = await ana.mutation("images:deleteImage", imageId=original.id)
        assert deletion == {"deletedTotal": 1, "deletedGenerated": 0, "actedAsAdmin": False}
        assert ids(gallery.value) == [result.id]
        await ana.mutation("images:deleteImage", imageId=result.id)
        assert ids(gallery.value) == []


async def test_deleting_what_waits_returns_the_credit_and_stops_the_work(meet: Meet, town: World) -> None:
    async with meet("ana") as ana:
        await ana.mutation("users:ensureUser")
        gallery, credit = await gallery_of(ana), await ana.watch("users:getCurrentUserCredits")
        kept, unwanted = await ana.photo(), await ana.photo()
        assert credit.value["credits"] == 8

        deletion = await ana.mutation("images:deleteImage", imageId=unwanted)

        assert deletion == {"deletedTotal": 1, "deletedGenerated": 0, "actedAsAdmin": False}
        assert credit.value["credits"] == 9
        history = (await ana.query_once("users:getCreditHistory", **paged()))["page"]
        assert [(each["kind"], each["amount"], each.get("imageId")) for each in history] == [
            ("refund", 1, unwanted),
            ("spend", -1, unwanted),
            ("spend", -1, kept),
            ("trial", 10, None),
        ]
        (job,) = await found(town, Job.by_subject.eq(subject=unwanted))
        assert job.state == "cancelled"
        (result,) = (await gallery.until(has_result))["page"]
        assert result["originalImageId"] == kept
        assert await ana.mutation("images:deleteImage", imageId=unwanted) == {
            "deletedTotal": 0,
            "deletedGenerated": 0,
            "actedAsAdmin": False,
        }
        assert credit.value["credits"] == 9


async def test_what_does_not_exist_is_deleted_already(meet: Meet) -> None:
    async with meet("ana") as ana:
        nothing = {"deletedTotal": 0, "deletedGenerated": 0, "actedAsAdmin": False}
        assert await ana.mutation("images:deleteImage", imageId=NO_SUCH_IMAGE, includeGenerated=True) == nothing


async def test_somebody_elses_image_is_for_its_owner_and_administrators(meet: Meet, town: World) -> None:
    async with meet("ana") as ana, meet("ben") as ben, meet("root", admin=True) as root:
        (image,) = await put(town, result_of(ana.subject, 1.0))
        gallery = await gallery_of(ana)
        with pytest.raises(Refusal) as refusal:
            await ben.mutation("images:deleteImage", imageId=image.id)
        assert refusal.value.code == "FORBIDDEN"
        assert ids(gallery.value) == [image.id]

        deletion = await root.mutation("images:deleteImage", imageId=image.id)

        assert deletion == {"deletedTotal": 1, "deletedGenerated": 0, "actedAsAdmin": True}
        await gallery.until(lambda page: page["page"] == [])
        assert await one(town, Image, image.id) is None
        deeds = await found(town, AuditEntry.by_created.all())
        assert [(each.actor, each.action) for each in deeds if each.target == image.id] == [
            (root.subject, "image.deleted")
        ]


async def test_every_balance_is_the_sum_of_its_ledger(meet: Meet, town: World) -> None:
    async with meet("ana") as ana:
        await ana.mutation("users:ensureUser")
        await ana.mutation("images:deleteImage", imageId=await ana.photo())
        await ana.photo()
        entries = await found(town, LedgerEntry.by_user_and_created.eq(user_id=ana.subject))
        balance = (await ana.query_once("users:getCurrentUserCredits"))["credits"]
        assert sum(entry.amount for entry in entries) == balance == 9
        assert [entry.balance_after for entry in entries] == [10, 9, 10, 9]
