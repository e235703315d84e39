"""The story of a drawing: a result and a spent credit, or a sentence and the credit back, whatever the model does meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec import Raw
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from jobs import policy
from schema.billing import BILLING_SETTINGS_ID, BillingSettings, LedgerEntry
from schema.blobs import Blob
from schema.images import Image
from schema.system import Job
from schema.values import Millis, seconds
from server.providers import breaker
from server.providers.gemini_outcomes import TROUBLE, UNSUITABLE
from tests.scenarios.conftest import Meet
from tests.scenarios.stock import found, give, ids, one, original_of, paged, put, remove, result_of
from tests.scenarios.test_credits import check_books, outcome
from tests.support.gemini import GeminiSite, Scenario, drips, gemini_site, says, stalls, wrong
from tests.support.live import LiveClient, Refusal, Screen, Value, world_client
from tests.support.world import World, open_world

KEY = "AIza-not-a-real-key"
RETRY = "images:retryOriginal"
VENDOR = "words of the vendor 0815"
"""In every refusal and error of the model below; no member may ever read it."""
REFUNDED = "Your credit has been returned."
NO_SUCH_IMAGE = "01hzzzzzzzzzzzzzzzzzzzzzzz"
MANY_PHOTOS = 30
OPEN_MS: Millis = seconds(4)
"""Longer than a retry waits, so that the retries of what failed meet an open breaker."""
PROBE_MS: Millis = 300.0

refuses = says(json.dumps({"candidates": [{"finishReason": "IMAGE_SAFETY", "finishMessage": VENDOR, "index": 0}]}))
fails = says(json.dumps(wrong(503, "UNAVAILABLE", VENDOR)), 503)


class Studio:
    """A product whose pictures are drawn by the stand-in, over HTTP."""

    def __init__(self, world: World, model: GeminiSite) -> None:
        self.world, self.model = world, model

    async def jobs(self, image_id: str) -> list[Job]:
        """All work about an image, oldest first."""
        return sorted(await found(self.world, Job.by_subject.eq(subject=image_id)), key=lambda job: job.created_at)

    async def movements(self, person: LiveClient) -> list[tuple[str, int]]:
        """What happened to somebody's credits after the trial, oldest first; the balance agrees with it."""
        entries = await found(self.world, LedgerEntry.by_user_and_created.eq(user_id=person.subject))
        await check_books(self.world, person.subject, sum(entry.amount for entry in entries))
        return [(entry.kind, entry.amount) for entry in entries if entry.kind in ("spend", "refund")]

    @asynccontextmanager
    async def without_refunds(self) -> AsyncIterator[None]:
        """An administrator has decided that failures are not refunded."""
        (settings,) = await put(self.world, BillingSettings(id=BILLING_SETTINGS_ID, refund_on_failure=False))
        try:
            yield
        finally:
            await remove(self.world, BillingSettings, settings.id)


@asynccontextmanager
async def open_studio(mongod_uri: str, *, at_once: int = 4, timeout_s: int = 120) -> AsyncIterator[Studio]:
    async with (
        gemini_site() as model,
        open_world(
            mongod_uri,
            GEMINI_API_KEY=KEY,
            GEMINI_BASE_URL=model.url,
            GENERATION_CONCURRENCY=str(at_once),
            GENERATION_TIMEOUT_S=str(timeout_s),
        ) as world,
    ):
        yield Studio(world, model)


@pytest.fixture(scope="module")
async def shared_studio(mongod_uri: str) -> AsyncIterator[Studio]:
    async with open_studio(mongod_uri) as studio:
        yield studio


@pytest.fixture
def studio(shared_studio: Studio) -> Studio:
    shared_studio.model.clear()
    return shared_studio


_numbers = itertools.count()


@pytest.fixture
def meet(studio: Studio) -> Meet:
    """People whom no other story knows."""
    return lambda name, *, admin=False: world_client(studio.world, f"{name}-{next(_numbers)}", admin=admin)


async def gallery_of(person: LiveClient) -> Screen:
    return await person.watch("images:getGalleryImagesPaginated", **paged())


async def failures_of(person: LiveClient) -> Screen:
    return await person.watch("images:getFailedImages")


async def failed(person: LiveClient, failures: Screen) -> Value:
    """The one failure, once there is one."""
    (failure,) = await failures.until(lambda value: len(value) == 1)
    heard = [answer for step in person.steps for answer in step.shown.values()]
    said = "".join(bytes(each).decode() if isinstance(each, Raw) else str(each) for each in heard)
    assert failure["generationError"] in said
    assert VENDOR not in said
    return failure


async def drawn(gallery: Screen) -> Value:
    """The one result, once there is one and nothing else."""
    page = await gallery.until(lambda page: [each["isGenerated"] for each in page["page"]] == [True])
    return page["page"][0]


# --- how a drawing ends ----------------------------------------------------------------------------------------------


async def test_a_picture_is_drawn_by_the_model(studio: Studio, meet: Meet) -> None:
    async with meet("ana") as ana:
        gallery = await gallery_of(ana)
        original = await ana.photo()
        result = await drawn(gallery)

        (call,) = studio.model.calls
        assert (call.key, call.mime_type, call.photo[:3]) == (KEY, "image/jpeg", b"\xff\xd8\xff")
        assert (result["originalImageId"], result["contentType"]) == (original, "image/webp")
        assert (result["originalWidth"], result["originalHeight"]) == (96, 64)
        assert (await ana.http.get(result["url"])).headers["content-type"] == "image/webp"
        (job,) = await studio.jobs(original)
        assert (job.state, job.attempt) == ("succeeded", 1)
        assert await studio.movements(ana) == [("spend", -1)]


async def test_a_refused_photo_fails_at_once_in_words_for_people(studio: Studio, meet: Meet) -> None:
    async with meet("ana") as ana:
        gallery, failures = await gallery_of(ana), await failures_of(ana)
        credit = await ana.watch("users:getCurrentUserCredits")
        studio.model.will(refuses)
        original = await ana.photo()
        failure = await failed(ana, failures)

        assert (failure["_id"], failure["generationError"]) == (original, f"{UNSUITABLE} {REFUNDED}")
        assert len(studio.model.calls) == 1
        assert (gallery.value["page"], credit.value["credits"]) == ([], 10)
        assert (await ana.http.get(failure["url"])).status_code == 200
        for path, args in (
            ("images:getImageById", {"imageId": original}),
            ("users:getCreditHistory", paged()),
            ("images:getGalleryImages", {}),
        ):
            assert VENDOR not in str(await ana.query_once(path, **args))
        assert VENDOR not in (await ana.http.get(f"{studio.world.url}/metrics")).text
        (job,) = await studio.jobs(original)
        assert (job.state, job.attempt) == ("dead", 1)
        assert VENDOR not in str(job)
        assert await studio.movements(ana) == [("spend", -1), ("refund", 1)]


async def test_what_fails_twice_has_failed(studio: Studio, meet: Meet) -> None:
    async with meet("ana") as ana:
        gallery, failures = await gallery_of(ana), await failures_of(ana)
        studio.model.will(fails, fails)
        original = await ana.photo()
        await gallery.until(lambda page: page["page"][0]["generationAttempts"] == 1)
        await gallery.until(lambda page: page["page"][0]["generationStatus"] == "pending")
        failure = await failed(ana, failures)

        assert failure["generationError"] == f"{TROUBLE} {REFUNDED}"
        assert len(studio.model.calls) == 2
        image = await one(studio.world, Image, original)
        assert image is not None
        assert (image.generation_status, image.generation_attempts) == ("failed", 2)
        assert await studio.movements(ana) == [("spend", -1), ("refund", 1)]


async def test_a_second_attempt_costs_nothing_more(studio: Studio, meet: Meet) -> None:
    async with meet("ana") as ana:
        gallery, failures = await gallery_of(ana), await failures_of(ana)
        studio.model.will(fails)
        original = await ana.photo()
        await drawn(gallery)

        assert len(studio.model.calls) == 2
        image = await one(studio.world, Image, original)
        assert image is not None
        assert (image.generation_status, image.generation_attempts, image.generation_error) == ("completed", 2, None)
        assert len(await found(studio.world, Image.by_original.eq(original_image_id=original))) == 1
        assert await studio.movements(ana) == [("spend", -1)]
        assert failures.values == [[]]


async def test_a_stall_ends_at_the_deadline(mongod_uri: str) -> None:
    async with (
        open_studio(mongod_uri, timeout_s=1) as studio,
        world_client(studio.world, "ana") as ana,
    ):
        failures = await failures_of(ana)
        studio.model.will(stalls, drips)
        await ana.photo()
        failure = await failed(ana, failures)
        assert "too long" in failure["generationError"]
        assert failure["generationError"].endswith(REFUNDED)
        assert await studio.movements(ana) == [("spend", -1), ("refund", 1)]


# --- trying again ----------------------------------------------------------------------------------------------------


async def test_a_refunded_failure_is_paid_again(studio: Studio, meet: Meet) -> None:
    async with meet("ana") as ana:
        assert ana.subject is not None
        gallery, failures = await gallery_of(ana), await failures_of(ana)
        studio.model.will(refuses)
        original = await ana.photo()
        await failed(ana, failures)
        await give(studio.world, ana.subject, 0)

        with pytest.raises(Refusal) as refusal:
            await ana.mutation(RETRY, imageId=original)

        assert (refusal.value.code, refusal.value.data["available"]) == ("INSUFFICIENT_CREDITS", 0)
        assert ids({"page": failures.value}) == [original]
        assert len(await studio.jobs(original)) == 1

        await give(studio.world, ana.subject, 1)
        await ana.mutation(RETRY, imageId=original)
        assert failures.value == []
        assert (await drawn(gallery))["originalImageId"] == original
        assert await studio.movements(ana) == [("spend", -1), ("refund", 1), ("spend", -1)]
        assert [job.state for job in await studio.jobs(original)] == ["dead", "succeeded"]
        await check_books(studio.world, ana.subject, 0)


async def test_a_failure_that_kept_its_credit_is_tried_again_for_it(studio: Studio, meet: Meet) -> None:
    async with meet("ana") as ana:
        failures = await failures_of(ana)
        async with studio.without_refunds():
            for attempt in range(2):
                studio.model.will(refuses)
                if attempt == 0:
                    original = await ana.photo()
                else:
                    await ana.mutation(RETRY, imageId=original)
                assert (await failed(ana, failures))["generationError"] == UNSUITABLE
                assert await studio.movements(ana) == [("spend", -1)]

        studio.model.will(refuses)
        await ana.mutation(RETRY, imageId=original)
        assert (await failed(ana, failures))["generationError"] == f"{UNSUITABLE} {REFUNDED}"
        assert await studio.movements(ana) == [("spend", -1), ("refund", 1)]

        studio.model.will(refuses)
        await ana.mutation(RETRY, imageId=original)
        await failed(ana, failures)
        assert await studio.movements(ana) == [("spend", -1), ("refund", 1)] * 2


async def test_two_retries_at_once_are_one_job(studio: Studio, meet: Meet) -> None:
    async with meet("ana") as ana, world_client(studio.world, ana.subject) as elsewhere:
        failures, gallery = await failures_of(ana), await gallery_of(ana)
        studio.model.will(refuses)
        original = await ana.photo()
        await failed(ana, failures)

        people = [ana, elsewhere, ana, elsewhere]
        outcomes = await asyncio.gather(*(outcome(each.mutation(RETRY, imageId=original)) for each in people))

        assert sorted(outcomes) == ["", "CONFLICT", "CONFLICT", "CONFLICT"]
        await drawn(gallery)
        assert len(await studio.jobs(original)) == len(studio.model.calls) == 2
        assert await studio.movements(ana) == [("spend", -1), ("refund", 1), ("spend", -1)]


async def test_only_what_has_failed_and_is_ones_own_is_tried_again(studio: Studio, meet: Meet) -> None:
    async with meet("ana") as ana, meet("ben") as ben, meet("root", admin=True) as root:
        mine = ana.subject
        (failure,) = await put(studio.world, original_of(mine, 1.0, generation_status="failed"))
        others = await put(
            studio.world,
            original_of(mine, 2.0),
            original_of(mine, 3.0, generation_status="pending"),
            original_of(mine, 4.0, generation_status="processing"),
            result_of(mine, 5.0),
        )
        for person, image_id, code in (
            *((ana, each.id, "CONFLICT") for each in others),
            (ana, NO_SUCH_IMAGE, "NOT_FOUND"),
            (ben, failure.id, "FORBIDDEN"),
            (root, failure.id, "FORBIDDEN"),
        ):
            assert await outcome(person.mutation(RETRY, imageId=image_id)) == code
        assert await one(studio.world, Image, failure.id) == failure
        assert studio.model.calls == []


# --- deleting --------------------------------------------------------------------------------------------------------


class Listening(Response):
    """Answers nothing, and hears when the caller hangs up."""

    def __init__(self, hung_up: asyncio.Event) -> None:
        super().__init__()
        self._hung_up = hung_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            continue
        self._hung_up.set()


def listens(hung_up: asyncio.Event) -> Scenario:
    def scenario(site: GeminiSite, request: Request) -> Response:
        return Listening(hung_up)

    return scenario


async def test_deleting_what_is_being_drawn_ends_the_drawing(studio: Studio, meet: Meet) -> None:
    async with meet("ana") as ana:
        assert ana.subject is not None
        gallery, hung_up = await gallery_of(ana), asyncio.Event()
        studio.model.will(listens(hung_up))
        original = await ana.photo()
        await studio.model.asked()

        deletion = await ana.mutation("images:deleteImage", imageId=original, includeGenerated=True)

        assert deletion == {"deletedTotal": 1, "deletedGenerated": 0, "actedAsAdmin": False}
        assert gallery.value["page"] == []
        assert await studio.movements(ana) == [("spend", -1), ("refund", 1)]
        async with asyncio.timeout(10):
            await hung_up.wait()
        (job,) = await studio.jobs(original)
        assert job.state == "cancelled"
        files = [*await found(studio.world, Blob.by_claimed.eq(kind="upload"))]
        files += await found(studio.world, Blob.by_claimed.eq(kind="result"))
        assert [each for each in files if each.owner == ana.subject] == []


async def test_deleting_a_failure_returns_nothing_more(studio: Studio, meet: Meet) -> None:
    async with meet("ana") as ana:
        failures = await failures_of(ana)
        studio.model.will(refuses)
        original = await ana.photo()
        await failed(ana, failures)
        await ana.mutation("images:deleteImage", imageId=original)
        assert failures.value == []
        assert await studio.movements(ana) == [("spend", -1), ("refund", 1)]

        async with studio.without_refunds():
            studio.model.will(refuses)
            kept = await ana.photo()
            await failed(ana, failures)
            await ana.mutation("images:deleteImage", imageId=kept)
        assert await studio.movements(ana) == [("spend", -1), ("refund", 1), ("spend", -1)]


# --- many at once ----------------------------------------------------------------------------------------------------


async def test_while_the_model_is_away_photos_wait_and_none_fails(
    mongod_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "FIRST_OPEN_MS", OPEN_MS)
    monkeypatch.setattr(breaker, "PROBE_MS", PROBE_MS)
    monkeypatch.setattr(policy, "POSTPONED_SPREAD_MS", PROBE_MS)
    failing = breaker.MAX_FAILURES
    async with (
        open_studio(mongod_uri, at_once=failing) as studio,
        world_client(studio.world, "ana") as ana,
    ):
        gallery, failures = await gallery_of(ana), await failures_of(ana)
        studio.model.will(*[fails] * failing)
        early = [await ana.photo() for _ in range(failing)]
        await gallery.until(lambda page: len(studio.model.calls) == failing)
        late = await ana.photo()

        await gallery.until(lambda page: sum(each["isGenerated"] for each in page["page"]) == len([*early, late]))

        assert failures.values == [[]]
        assert len(studio.model.calls) == failing + len([*early, late])
        images = [await one(studio.world, Image, each) for each in (*early, late)]
        assert [(each.generation_status, each.generation_attempts) for each in images if each] == [
            *[("completed", 2)] * failing,
            ("completed", 1),
        ]
        postponed = [job for each in (*early, late) for job in await studio.jobs(each) if job.max_attempts > 2]
        assert late in [job.subject for job in postponed]
        assert await studio.movements(ana) == [("spend", -1)] * len([*early, late])


async def test_one_photo_is_not_kept_waiting_by_somebodys_many(mongod_uri: str) -> None:
    async with (
        open_studio(mongod_uri, at_once=1) as studio,
        world_client(studio.world, "ana") as ana,
        world_client(studio.world, "ben") as ben,
    ):
        await give(studio.world, "ana", MANY_PHOTOS)
        studio.model.will(stalls)
        await asyncio.gather(*(ana.photo() for _ in range(MANY_PHOTOS)))
        gallery = await gallery_of(ben)
        await ben.photo()

        studio.model.released.set()
        await drawn(gallery)

        assert len(studio.model.calls) <= 3, "the one that was drawn, ben's, and perhaps one begun since"
        await check_books(studio.world, "ana", 0)
