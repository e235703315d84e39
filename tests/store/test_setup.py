"""Bringing a database to the schema, beside others who do the same; and being told what is wrong with the database named."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from schema.document import TABLES
from server.config import ConfigurationError
from server.store import connection
from server.store.connection import connect
from server.store.embedded_child import locate_mongod
from server.store.setup import SetupReport, set_up
from tests.support.world import free_port, fresh_database

DEADLINE_S = 60.0
ROOT = Path(__file__).parents[2]
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")
Fields = dict[str, Any]


@pytest.fixture
async def database(mongod_uri: str) -> AsyncIterator[AsyncDatabase[Fields]]:
    """An empty database."""
    client: AsyncMongoClient[Fields] = AsyncMongoClient(mongod_uri)
    found = client[f"test_{secrets.token_hex(6)}"]
    yield found
    await client.drop_database(found.name)
    await client.close()


def drifts(report: SetupReport) -> list[str]:
    return [str(each) for each in report.drift]


async def indexes_of(database: AsyncDatabase[Fields], name: str) -> dict[str, Fields]:
    return {each["name"]: dict(each) async for each in await database[name].list_indexes()}


async def test_an_empty_database_gets_everything_once(database: AsyncDatabase[Fields]) -> None:
    first = await set_up(database)
    assert drifts(first) == []
    assert {f"created {name}" for name in TABLES} <= set(first.done)
    assert set(await database.list_collection_names()) == set(TABLES)
    for table in TABLES.values():
        assert set(table.indexes) <= set(await indexes_of(database, table.name))
        options = await database[table.name].options()
        assert options["changeStreamPreAndPostImages"] == {"enabled": True}
        assert (options["validationLevel"], options["validationAction"]) == ("strict", "error")
    images = await indexes_of(database, "images")
    assert list(images["by_userId_and_createdAt"]["key"].items()) == [("userId", 1), ("createdAt", 1), ("_id", 1)]
    assert images["by_originalImageId_unique"]["partialFilterExpression"] == {
        "originalImageId": {"$exists": True},
        "isGenerated": True,
    }
    assert (await indexes_of(database, "users"))["by_userId_unique"]["unique"] is True
    assert (await indexes_of(database, "receipts"))["expires_by_expiresAt"]["expireAfterSeconds"] == 0
    second = await set_up(database)
    assert (second.done, second.drift) == ([], [])


async def test_two_who_do_it_at_once_both_succeed(database: AsyncDatabase[Fields], mongod_uri: str) -> None:
    async with AsyncMongoClient[Fields](mongod_uri) as other, asyncio.timeout(DEADLINE_S):
        reports = await asyncio.gather(set_up(database), set_up(other[database.name]), set_up(other[database.name]))
    assert [drifts(each) for each in reports] == [[], [], []]
    after = await set_up(database)
    assert (after.done, after.drift) == ([], [])


async def test_what_is_not_in_the_schema_is_reported_and_left_alone(database: AsyncDatabase[Fields]) -> None:
    await set_up(database)
    await database["images"].create_index([("contentType", 1)], name="by_hand")
    await database["notes"].insert_one({"_id": 1})
    report = await set_up(database)
    assert drifts(report) == ["images: the index by_hand is not in the schema", "notes: is not in the schema"]
    assert report.done == []
    assert "by_hand" in await indexes_of(database, "images")
    assert await database["notes"].count_documents({}) == 1


@pytest.mark.parametrize(
    ("keys", "options"),
    [
        ([("userId", 1)], {}),
        ([("createdAt", 1), ("userId", 1), ("_id", 1)], {}),
        ([("userId", 1), ("createdAt", -1), ("_id", 1)], {}),
        ([("userId", 1), ("createdAt", 1), ("_id", 1)], {"unique": True}),
        ([("userId", 1), ("createdAt", 1), ("_id", 1)], {"sparse": True}),
        ([("userId", 1), ("createdAt", 1), ("_id", 1)], {"partialFilterExpression": {"isGenerated": True}}),
    ],
    ids=["shorter", "another order", "another direction", "unique", "sparse", "partial"],
)
async def test_an_index_that_differs_is_reported_and_mended_by_hand(
    database: AsyncDatabase[Fields], keys: list[tuple[str, int]], options: Fields
) -> None:
    await set_up(database)
    name = "by_userId_and_createdAt"
    await database["images"].drop_index(name)
    await database["images"].create_index(keys, name=name, **options)
    report = await set_up(database)
    assert drifts(report) == [f"images: the index {name} differs from the schema; drop it and migrate again"]
    await database["images"].drop_index(name)
    mended = await set_up(database)
    assert (mended.done, mended.drift) == ([f"created the index images.{name}"], [])


async def test_the_right_index_under_a_wrong_name_is_reported(database: AsyncDatabase[Fields]) -> None:
    """MongoDB keeps no two indexes with the same keys and options, so ours cannot be made beside it."""
    await set_up(database)
    name = "by_userId_and_createdAt"
    keys = list((await indexes_of(database, "images"))[name]["key"].items())
    await database["images"].drop_index(name)
    await database["images"].create_index(keys, name="somebodys")
    assert any("somebodys" in each for each in drifts(await set_up(database)))


@pytest.mark.parametrize(
    "change",
    [
        {"validator": {}},
        {"validator": {"$jsonSchema": {"required": ["nothing"]}}},
        {"validationLevel": "off"},
        {"validationAction": "warn"},
        {"changeStreamPreAndPostImages": {"enabled": False}},
    ],
    ids=["none", "another", "off", "warn", "images"],
)
async def test_changed_rules_are_repaired(database: AsyncDatabase[Fields], change: Fields) -> None:
    await set_up(database)
    wanted = await database["users"].options()
    await database.command({"collMod": "users", **change})
    assert await database["users"].options() != wanted
    report = await set_up(database)
    assert (report.done, report.drift) == (["updated the rules of users"], [])
    assert await database["users"].options() == wanted


async def test_a_collection_that_came_by_itself_is_given_its_rules(database: AsyncDatabase[Fields]) -> None:
    await database["users"].insert_one({"_id": "hand", "userId": "ana"})
    report = await set_up(database)
    assert "updated the rules of users" in report.done
    assert "created the index users.by_userId" in report.done
    assert await database["users"].find_one() == {"_id": "hand", "userId": "ana"}


# --- from the command line -------------------------------------------------------------------------------------------


async def run_server(command: str, **variables: str) -> tuple[int, str, str]:
    """`python -m server <command>` to its end: its status, what it said, what it complained of."""
    env = {name: os.environ[name] for name in INHERITED if name in os.environ}
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server", command, cwd=ROOT, env={**env, **variables},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(DEADLINE_S):
        out, err = await started.communicate()
    assert started.returncode is not None
    return started.returncode, out.decode(), err.decode()


async def test_migrate_says_what_it_did_and_the_second_time_nothing(mongod_uri: str) -> None:
    uri = fresh_database(mongod_uri)
    status, out, err = await run_server("migrate", MONGODB_URI=uri, APP_ENV="development")
    assert (status, err) == (0, "")
    assert {f"created {name}" for name in TABLES} <= set(out.splitlines())
    async with AsyncMongoClient[Fields](uri) as client:
        database = client.get_default_database()
        await database["stray"].insert_one({})
        again = await run_server("migrate", MONGODB_URI=uri, APP_ENV="development")
        await client.drop_database(database.name)
    assert again == (0, "nothing to do\ndrift: stray: is not in the schema\n", "")


# --- databases that will not do --------------------------------------------------------------------------------------


@asynccontextmanager
async def standalone(folder: Path) -> AsyncIterator[str]:
    """A mongod that is no replica set."""
    port = free_port()
    started = await asyncio.create_subprocess_exec(
        str(locate_mongod()), "--dbpath", str(folder), "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket",
        stdout=asyncio.subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    try:
        yield f"mongodb://127.0.0.1:{port}/"
    finally:
        started.kill()
        await started.wait()


async def refusal(uri: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        async with asyncio.timeout(DEADLINE_S), connect(uri):
            pass
    return str(refused.value)


async def test_a_standalone_server_is_refused_with_the_reason(tmp_path: Path) -> None:
    async with standalone(tmp_path) as uri:
        sentence = await refusal(uri)
        status, out, err = await run_server("migrate", MONGODB_URI=uri, APP_ENV="development")
    assert "MONGODB_URI" in sentence
    assert "standalone" in sentence
    assert "--replSet" in sentence
    assert (status, out, err) == (2, "", f"error: {sentence}\n")


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the driver does not close what failed to connect
async def test_a_server_that_does_not_answer_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SELECTION_TIMEOUT_MS", 200)
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as mute:
        port = mute.sockets[0].getsockname()[1]
        sentence = await refusal(f"mongodb://ana:hunter2@127.0.0.1:{port}/")
    assert "MONGODB_URI" in sentence
    assert "does not answer" in sentence
    assert "hunter2" not in sentence
    gc.collect()


@pytest.mark.parametrize("uri", ["http://example.org", "mongodb://", "mongodb://a:b:c@h", "postgres://x/y", "://"])
async def test_what_is_not_an_address_is_said_so(uri: str) -> None:
    sentence = await refusal(uri)
    assert "MONGODB_URI" in sentence
    assert "mongodb://" in sentence


async def test_migrate_refuses_what_is_not_an_address() -> None:
    status, out, err = await run_server("migrate", MONGODB_URI="http://example.org", APP_ENV="development")
    assert (status, out) == (2, "")
    assert err.startswith("error: MONGODB_URI")
    assert "Traceback" not in err
