"""Migrations on a real database: taken once, in order, by one at a time, from where they were; and rules for two versions."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import WriteError

from schema.migrations import FLAGS_OF_IMAGES, LATEST, STEPS, Mending, Step
from server import migrate as command
from server.config import ConfigurationError
from server.migrate import Migration, bring_up, check
from server.store import migrating
from server.store.alone import LEASE, Occupied, alone
from server.store.migrating import Migrations
from server.store.mongo import MongoStore
from server.store.pulse import LIFETIME
from server.store.setup import set_up
from server.store.validators import widened
from tests.support.locked import locked_mongod

Fields = dict[str, Any]
FLAGLESS = {"_creationTime": 1.0, "body": "b", "createdAt": 1.0}


class Place:
    """A database to migrate, and what was said of it."""

    def __init__(self, client: AsyncMongoClient[Fields], name: str) -> None:
        self.store = MongoStore(client, name)
        self.migrations = Migrations(client, f"{name}_blobs")
        self.images = self.store.database["images"]
        self.said: list[str] = []

    async def migrate(self, *, post: bool = False) -> list[str]:
        """What the command says."""
        self.said = []
        await Migration(self.store, self.migrations, say=self.said.append, clock=lambda: time.time() * 1_000).run(
            post=post
        )
        return self.said

    async def refused(self, *, post: bool = False) -> str:
        with pytest.raises(ConfigurationError) as refused:
            await self.migrate(post=post)
        return str(refused.value)

    async def age(self) -> None:
        """As a database was before it had migrations, with pictures in it that lack their flags."""
        await set_up(self.store.database)
        await self.store.database.command({"collMod": "images", "validator": {}})
        await self.images.insert_many([{"_id": f"image-{number}", **FLAGLESS} for number in range(5)])
        await self.images.insert_one({"_id": "image-9", **FLAGLESS, **FLAGS_OF_IMAGES, "isFeatured": True})


@pytest.fixture
async def place(mongod_uri: str) -> AsyncIterator[Place]:
    async with AsyncMongoClient[Fields](mongod_uri) as client:
        opened = Place(client, f"test_{secrets.token_hex(6)}")
        yield opened
        for name in (opened.store.database.name, opened.migrations.notes.database.name):
            await client.drop_database(name)


def next_version(monkeypatch: pytest.MonkeyPatch, *steps: Step) -> None:
    """As if this were a version with more steps."""
    monkeypatch.setattr(command, "STEPS", (*STEPS, *steps))
    monkeypatch.setattr(command, "LATEST", LATEST + len(steps))


# --- the command -----------------------------------------------------------------------------------------------------


async def test_a_new_database_needs_nothing_afterwards(place: Place) -> None:
    with pytest.raises(ConfigurationError, match=r"lacks .* Run python -m server migrate first"):
        await check(place.store, place.migrations)
    assert "created images" in await place.migrate()
    await check(place.store, place.migrations)
    assert await place.migrate(post=True) == ["nothing to do"]
    assert await place.migrate() == ["nothing to do"]


async def test_an_older_database_is_prepared_and_then_finished(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrating, "BATCH", 2)
    await place.age()
    with pytest.raises(ConfigurationError, match=r"lacks step 1 \(.*\)\. Run python -m server migrate first"):
        await check(place.store, place.migrations)
    refusal = await place.refused(post=True)
    assert refusal.startswith("Step 2 (")
    assert "comes after step 1 (" in refusal
    said = await place.migrate()
    assert [line.split(" (")[0] for line in said if line.startswith("step")] == ["step 1", "step 2"]
    assert said[-1].endswith("is left for python -m server migrate --post, when no older process runs")
    await check(place.store, place.migrations)
    assert await place.images.count_documents(FLAGS_OF_IMAGES) == 0, "nothing is filled in beside older processes"

    said = await place.migrate(post=True)
    assert said[0].endswith("is done: 5 documents changed")
    assert "updated the rules of images" in said
    assert await place.images.count_documents(FLAGS_OF_IMAGES) == 5
    assert await place.images.count_documents({"isFeatured": True}) == 1
    assert await place.migrate(post=True) == await place.migrate() == ["nothing to do"]


async def test_a_step_that_was_killed_goes_on_where_it_was(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrating, "BATCH", 2)
    await place.age()
    (step,) = [each for each in STEPS if each.mendings]
    counts: list[int] = []

    def die_at_the_second(changed: int) -> None:
        counts.append(changed)
        if len(counts) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await place.migrations.mend(place.store.database, step, die_at_the_second)
    assert await place.migrations.taken() == {}
    await place.migrations.mend(place.store.database, step, counts.append)
    assert counts == [2, 2, 0, 1], "the batch whose end was not noted is looked at again, and the first one is not"
    assert await place.migrations.taken() == {2: "post"}


async def test_what_nobody_reads_any_more_is_removed(place: Place) -> None:
    await place.age()
    await place.images.update_many({"_id": {"$gt": "image-2"}}, {"$set": {"mood": "blue"}})
    changed: list[int] = []
    step = Step(3, "post", "moods go", mendings=(Mending("images", remove=("mood",)),))
    await place.migrations.mend(place.store.database, step, changed.append)
    assert changed == [3]
    assert await place.images.count_documents({"mood": {"$exists": True}}) == 0


async def test_a_document_that_lacks_more_is_named(place: Place) -> None:
    await place.age()
    await place.images.insert_one({"_id": "broken", "_creationTime": 1.0})
    await set_up(place.store.database)
    await place.migrate()
    sentence = await place.refused(post=True)
    assert sentence.startswith("The document broken of images lacks more than this step fills in")
    await place.images.delete_one({"_id": "broken"})
    assert (await place.migrate(post=True))[0].startswith("step 2")


# --- in order, and alone ---------------------------------------------------------------------------------------------


async def test_a_release_that_was_not_finished_is_finished_first(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await place.age()
    await place.migrate()
    next_version(monkeypatch, Step(3, "pre", "three"))
    sentence = await place.refused()
    assert sentence.startswith("Step 3 (three) comes after step 2 (")
    assert sentence.endswith("Run python -m server migrate --post when no older process runs.")
    await place.migrate(post=True)
    assert "step 3 (three) is done" in await place.migrate()


async def test_one_at_a_time_and_a_killed_one_is_followed(place: Place) -> None:
    notes = place.migrations.notes
    async with alone(notes, "first-1"):
        assert (await place.refused()).startswith("first-1 migrates this database now. Let it finish")
        with pytest.raises(Occupied):
            async with alone(notes, "second-2"):
                pass
        async with asyncio.TaskGroup() as group:
            group.create_task(waits_for_it(place))
            group.create_task(lets_it_lapse(place))
    assert await notes.find_one({"_id": LEASE}) is None


async def waits_for_it(place: Place) -> None:
    async with alone(place.migrations.notes, "third-3", wait_s=60.0):
        pass


async def lets_it_lapse(place: Place) -> None:
    """As when its holder has not been there to renew it."""
    await place.migrations.notes.update_one({"_id": LEASE}, {"$set": {"until": datetime.now(UTC) - timedelta(1)}})


async def test_nothing_is_finished_beside_an_older_process(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await place.migrate()
    pulses = place.store.database["pulses"]
    later = datetime.fromtimestamp(time.time() + LIFETIME / 1_000, UTC)
    pulse = {"_creationTime": 1.0, "beat": 1, "expiresAt": later}
    await pulses.insert_one({"_id": "web-7", **pulse})
    await pulses.insert_one({"_id": "web-8", **pulse, "step": LATEST})
    assert (await place.refused(post=True)).startswith(
        "web-7 of an older version still runs, or did until a moment ago"
    )
    await pulses.delete_one({"_id": "web-7"})
    assert await place.migrate(post=True) == ["nothing to do"]
    next_version(monkeypatch, Step(3, "pre", "three"))
    await place.migrate()
    assert (await place.refused(post=True)).startswith("web-8 of an older version")


async def test_an_older_version_leaves_a_newer_ones_database_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.migrate()
    with monkeypatch.context() as newer:
        next_version(newer, Step(3, "pre", "three"), Step(4, "post", "four"))
        await place.migrate()
    await check(place.store, place.migrations)
    assert await place.migrate() == ["a newer version has migrated this database (step 3); it is left as it is"]
    assert "run its own migrate --post" in await place.refused(post=True)
    with monkeypatch.context() as newer:
        next_version(newer, Step(3, "pre", "three"), Step(4, "post", "four"))
        await place.migrate(post=True)
    with pytest.raises(ConfigurationError, match="cannot run on it any more"):
        await check(place.store, place.migrations)
    assert "cannot run on it any more" in await place.refused()


async def test_two_that_bring_up_the_same_database_both_succeed(place: Place) -> None:
    await asyncio.gather(*(bring_up(place.store, place.migrations) for _ in range(3)))
    assert set(await place.migrations.taken()) == {step.number for step in STEPS}


# --- rules for two versions ------------------------------------------------------------------------------------------


def rule(required: list[str], **properties: Fields) -> Fields:
    shape = {"bsonType": "object", "required": required, "properties": properties, "additionalProperties": False}
    return {"$jsonSchema": shape}


TEXT, NUMBER = {"bsonType": "string"}, {"bsonType": "number"}
OLD = rule(["_id", "a", "gone"], _id=TEXT, a=TEXT, gone=TEXT, state={"enum": ["on"]}, count=NUMBER)
NEW = rule(["_id", "a", "flag"], _id=TEXT, a=TEXT, flag={"bsonType": "bool"}, state={"enum": ["on", "off"]}, count=TEXT)


async def test_under_a_widened_rule_either_version_writes(place: Place) -> None:
    wide = widened(OLD, NEW)
    assert widened(wide, NEW) == wide
    assert widened(NEW, NEW) == NEW
    database = place.store.database
    await database.create_collection("both", validator=wide)
    await database["both"].insert_many(
        [
            {"_id": "old", "a": "x", "gone": "y", "state": "on", "count": 1},
            {"_id": "new", "a": "x", "flag": True, "state": "off", "count": "1"},
            {"_id": "an old one that a new process has patched", "a": "x", "gone": "y", "state": "off"},
        ]
    )
    for wrong in ({"_id": "1", "flag": True}, {"_id": "2", "a": 3}, {"_id": "3", "a": "x", "other": 1}):
        with pytest.raises(WriteError):
            await database["both"].insert_one(wrong)


@pytest.mark.parametrize("foreign", [{}, {"a": {"$exists": True}}, {"$jsonSchema": {"required": ["a"]}}], ids=str)
def test_a_rule_that_is_not_ours_is_let_stand(foreign: Fields) -> None:
    wide = widened(foreign, NEW)
    assert wide == ({"$or": [foreign, NEW]} if foreign else {})
    assert widened(wide, NEW) == wide


# --- rights ----------------------------------------------------------------------------------------------------------


async def test_a_user_who_may_not_is_told_which_right_is_missing(tmp_path: Path) -> None:
    async with locked_mongod(tmp_path) as mongod:
        uri = await mongod.user("anime", {"anime": "readWrite", "anime_blobs": "readWrite"})
        async with AsyncMongoClient[Fields](uri) as client:
            place = Place(client, "anime")
            assert "created images" in await place.migrate(), "an empty database takes no more than readWrite"
            async with AsyncMongoClient[Fields](mongod.uri) as root:
                await root["anime"].command({"collMod": "images", "validator": {"a": 1}})
            assert await place.refused() == (
                "The user in MONGODB_URI may not do collMod in the database anime. Give it the role dbAdmin there: "
                'db.getSiblingDB("admin").grantRolesToUser(USER, [{ role: "dbAdmin", db: "anime" }]).'
            )
            await mongod.grant("anime", {"anime": "dbAdmin"})
            assert await place.migrate() == ["updated the rules of images"]
            stranger = await mongod.user("stranger", {"other": "readWrite"})
        async with AsyncMongoClient[Fields](stranger) as client:
            assert "Give it the role readWrite there" in await Place(client, "anime").refused()
