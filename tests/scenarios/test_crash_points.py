"""A worker killed where it hurts most, between the model's answer and the commit: one result, one spend, nothing left over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from server.auth.grants import SignedCursors
from server.database import Database
from server.store.gridfs import BlobVault
from server.store.mongo import MongoStore
from tests.scenarios.torture_audit import stored, swept
from tests.support import pictures
from tests.support.gemini import GeminiSite, finished, gemini_site, stalls
from tests.support.http import http_client
from tests.support.processes import DEADLINE_S, Deployment, Fields, Person, Running, open_deployment

TRIAL_CREDITS = 10


class Studio:
    """A deployment whose workers ask a model that this test speaks for."""

    def __init__(self, deployment: Deployment, site: GeminiSite, url: str) -> None:
        self.deployment, self.site = deployment, site
        self.ana: Person = deployment.person("ana", url)
        self.database = deployment.database
        store = MongoStore(deployment.client, deployment.database.name)
        self._database = Database(store, SignedCursors(bytes(32)), lambda: time.time() * 1_000)
        self.vault = BlobVault(deployment.client, f"{deployment.database.name}_blobs")

    async def worker(self) -> Running:
        """Another worker."""
        return await self.deployment.worker(GEMINI_API_KEY="stand-in", GEMINI_BASE_URL=self.site.url)

    async def order(self) -> str:
        """Have a photo drawn; the original's id."""
        photo = await self.ana.upload(pictures.jpeg())
        original: str = await self.ana.mutate("images:uploadAndScheduleGeneration", storageId=photo)
        return original

    async def job(self) -> Fields:
        """The one generation's job."""
        (job,) = await self.deployment.generations()
        return job

    @asynccontextmanager
    async def inserted(self, database: str, collection: str, **where: Any) -> AsyncIterator[None]:
        """Return, at the end, only once such a document was inserted by what happens inside."""
        wanted = {"operationType": "insert", **{f"fullDocument.{name}": value for name, value in where.items()}}
        client: AsyncMongoClient[Fields] = self.deployment.client
        async with await client[database][collection].watch([{"$match": wanted}]) as changes:
            yield
            async with asyncio.timeout(DEADLINE_S):
                await changes.next()

    @asynccontextmanager
    async def locked(self, original: str) -> AsyncIterator[None]:
        """Hold an original in an open transaction, so that whoever else writes it conflicts, and leave it as it was."""
        async with self.deployment.client.start_session() as session:
            await session.start_transaction()
            touch = {"$set": {"generationError": "held by a test"}}
            await self.database["images"].update_one({"_id": original}, touch, session=session)
            try:
                yield
            finally:
                await session.abort_transaction()

    async def check(self, *, results: int, attempts: int, orphans: int) -> None:
        """The books are right, the work was done so often, and a sweep leaves what is in use and nothing else."""
        await self.deployment.check_books()
        images = await self.deployment.rows("images")
        assert sum(each["isGenerated"] for each in images) == results
        assert max(each["attempt"] for each in await self.deployment.generations()) == attempts
        assert len(await stored(self.vault)) == len(await self.deployment.rows("_storage")) + orphans
        assert await swept(self._database, self.vault, time.time() * 1_000) == (orphans, [])
        assert await stored(self.vault) == {each["body"] for each in images}

    async def check_returned_once(self, original: str) -> None:
        """The one generation has failed, its credit is back; and drawn again, it costs a credit again."""
        assert (await self.job())["state"] == "dead"
        movements = [("trial", TRIAL_CREDITS), ("spend", -1), ("refund", 1)]
        assert await self.movements() == movements
        (image,) = await self.deployment.rows("images")
        assert image["generationStatus"] == "failed"
        await self.ana.mutate("images:retryOriginal", imageId=original)
        await self.deployment.settled(2)
        assert [each["state"] for each in await self.deployment.generations()] == ["dead", "succeeded"]
        assert await self.movements() == [*movements, ("spend", -1)]
        assert (await self.ana.query("users:getCurrentUserCredits"))["credits"] == TRIAL_CREDITS - 1

    async def movements(self) -> list[tuple[str, int]]:
        """What happened to the credits, in order."""
        return [(each["kind"], each["amount"]) for each in await self.deployment.rows("ledger")]


@pytest.fixture
async def studio(mongod_uri: str, tmp_path: Path) -> AsyncIterator[Studio]:
    """A studio that is open and has no worker yet."""
    async with (
        http_client(timeout=DEADLINE_S) as http,
        gemini_site() as site,
        open_deployment(mongod_uri, tmp_path, http) as deployment,
    ):
        _, url = await deployment.web()
        yield Studio(deployment, site, url)
        site.released.set()


async def test_killed_while_the_model_answers(studio: Studio) -> None:
    doomed = await studio.worker()
    studio.site.will(stalls)
    await studio.order()
    await studio.site.asked()
    await doomed.kill()
    assert (await studio.job())["state"] == "leased"

    await studio.worker()
    await studio.deployment.settled(1)
    assert (await studio.job())["state"] == "succeeded"
    assert await studio.movements() == [("trial", TRIAL_CREDITS), ("spend", -1)]
    await studio.check(results=1, attempts=2, orphans=0)


async def test_killed_when_the_picture_is_stored_and_not_yet_anybodys(studio: Studio) -> None:
    doomed = await studio.worker()
    studio.site.will(stalls)
    original = await studio.order()
    await studio.site.asked()
    async with studio.locked(original):
        async with studio.inserted(studio.vault.database_name, "blobs.files"):
            studio.site.released.set()
        await doomed.kill()
    job = await studio.job()
    assert (job["state"], job["attempt"]) == ("leased", 1)
    assert len(await studio.deployment.rows("images")) == len(await studio.deployment.rows("_storage")) == 1
    assert len(await stored(studio.vault)) == 2

    await studio.worker()
    await studio.deployment.settled(1)
    assert (await studio.job())["state"] == "succeeded"
    assert await studio.movements() == [("trial", TRIAL_CREDITS), ("spend", -1)]
    await studio.check(results=1, attempts=2, orphans=1)


async def test_killed_right_after_the_commit(studio: Studio) -> None:
    doomed = await studio.worker()
    async with studio.inserted(studio.database.name, "images", isGenerated=True):
        await studio.order()
    await doomed.kill()
    job = await studio.job()
    assert (job["state"], job["attempt"]) == ("succeeded", 1)

    await studio.worker()
    await studio.order()
    await studio.deployment.settled(2)
    assert len(studio.site.calls) == 2
    assert await studio.movements() == [("trial", TRIAL_CREDITS), ("spend", -1), ("spend", -1)]
    await studio.check(results=2, attempts=1, orphans=0)


async def test_killed_when_the_model_has_refused_and_the_credit_is_not_back_yet(studio: Studio) -> None:
    doomed = await studio.worker()
    studio.site.will(refuses_late, refuses_late)
    original = await studio.order()
    await studio.site.asked()
    async with studio.locked(original):
        studio.site.released.set()
        await doomed.says("no picture: IMAGE_SAFETY")
        await doomed.kill()
    job = await studio.job()
    assert (job["state"], job["attempt"]) == ("leased", 1)
    assert await studio.movements() == [("trial", TRIAL_CREDITS), ("spend", -1)]

    await studio.worker()
    await studio.deployment.settled(1)
    await studio.check_returned_once(original)


async def test_killed_right_after_the_commit_that_returns_the_credit(studio: Studio) -> None:
    doomed = await studio.worker()
    studio.site.will(finished("IMAGE_SAFETY"))
    async with studio.inserted(studio.database.name, "ledger", kind="refund"):
        original = await studio.order()
    await doomed.kill()

    await studio.worker()
    await studio.check_returned_once(original)


def refuses_late(site: GeminiSite, request: Request) -> Response:
    """Says nothing until the site is released, then that it will not draw this."""

    async def body() -> AsyncIterator[bytes]:
        await site.released.wait()
        yield bytes(finished("IMAGE_SAFETY")(site, request).body)

    return StreamingResponse(body(), media_type="application/json")
