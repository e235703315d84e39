"""The story of a backup: everything is written into a folder at one moment, and comes back as it was."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pymongo import AsyncMongoClient

from schema.blobs import Blob
from schema.deliveries import RECONCILIATION_ID, Reconciliation
from schema.system import Job
from schema.tables import TABLES
from schema.values import Id, Timestamp, days
from server.config import ConfigurationError, Settings, read_settings
from server.ids import capability_id
from server.runtime import DATABASE, blobs_of, clock, open_runtime
from server.store import codec
from server.store.connection import connect
from server.store.gridfs import BlobVault
from server.store.mongo import MongoStore
from server.store.setup import set_up
from server.transfer.choice import LEFT_OUT, exported
from server.transfer.command import export_to, import_from
from server.transfer.errors import TransferRefused
from server.transfer.lines import read_batches
from server.transfer.manifest import MANIFEST, Journal, read_manifest, write_journal
from subscriptions.answers import Question
from subscriptions.effects import Value
from tests.scenarios.stock import give, now, one, paged, put
from tests.scenarios.test_polar_webhooks import BUYER, order_paid
from tests.support.http import http_client
from tests.support.live import world_client
from tests.support.pictures import jpeg
from tests.support.processes import DEADLINE_S, INHERITED, ROOT
from tests.support.webhooks import Sender, fixture
from tests.support.world import World, fresh_database, open_world

MANY = 250
PRICES = {"packPriceCents": 700, "creditsPerPack": 50, "refundOnFailure": False, "freeTrialCredits": 3}
WALL = "images:getPublicGallery"
Client = AsyncMongoClient[dict[str, Any]]


class Place:
    """A database to export from or import into, as the commands see it."""

    def __init__(self, client: Client, uri: str) -> None:
        self.client, self.uri = client, uri
        self.store = MongoStore(client, client.get_default_database(DATABASE).name)
        self.vault = BlobVault(client, blobs_of(self.store))
        self.said: list[str] = []

    async def export(self, folder: Path) -> int:
        return await export_to(folder, self.client, self.store, self.vault, clock=clock, tell=self.said.append)

    async def restore(self, folder: Path) -> int:
        return await import_from(folder, self.client, self.store, self.vault, clock=clock, tell=self.said.append)

    async def rows(self, table: str) -> list[dict[str, Any]]:
        return [row async for row in self.store.database[table].find().sort("_id", 1)]

    async def rows_at(self, table: str, ts: Timestamp) -> list[dict[str, Any]]:
        concern = {"level": "snapshot", "atClusterTime": codec.cluster_time(ts)}
        find = {"find": table, "sort": {"_id": 1}, "batchSize": 1_000, "singleBatch": True, "readConcern": concern}
        rows: list[dict[str, Any]] = (await self.store.database.command(find))["cursor"]["firstBatch"]
        return rows

    async def contents(self) -> dict[str, bytes]:
        ids = await self.vault.older_than(clock() + 1e9, after="", limit=1_000)
        return {each: b"".join([piece async for piece in self.vault.read(each)]) for each in ids}


@asynccontextmanager
async def place(uri: str) -> AsyncIterator[Place]:
    async with connect(uri) as client:
        yield Place(client, uri)


@asynccontextmanager
async def empty_place(mongod_uri: str) -> AsyncIterator[Place]:
    async with place(fresh_database(mongod_uri)) as opened:
        try:
            yield opened
        finally:
            for name in (opened.store.database.name, opened.vault.database_name):
                await opened.client.drop_database(name)


async def refusal(work: Awaitable[int]) -> str:
    """The sentence with which it is refused, out of the groups that tasks wrap it in."""
    sentences: list[str] = []
    try:
        await work
    except* TransferRefused as group:
        found: list[BaseException] = [group]
        for each in found:
            found += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        sentences = [str(each) for each in found if isinstance(each, TransferRefused)]
    (sentence,) = sentences
    return sentence


async def reached(holds: Callable[[], Awaitable[bool]]) -> None:
    """Look often, until it is so: what another process does to files and rows tells nobody."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.001)


async def live_there(world: World) -> None:
    """Things happen until every table has rows: made by the product's own functions, but for one job that runs for long."""
    async with (
        world_client(world, BUYER) as ana,
        world_client(world, "root", admin=True) as admin,
        http_client() as http,
    ):
        await ana.mutation("users:ensureUser")
        gallery = await ana.watch("images:getGalleryImagesPaginated", **paged())
        await ana.photo()
        page = await gallery.until(lambda page: [each["isGenerated"] for each in page["page"]] == [True])
        await ana.upload(jpeg())
        await ana.mutation("images:updateFeaturedStatus", imageId=page["page"][0]["_id"], isFeatured=True)
        await admin.mutation("admin:updateModerationSettings", requireApproval=False)
        await ana.mutation("payments:initiateCheckout", successUrl=f"{world.url}/there")
        polar = Sender(world, http, "webhook")
        await polar.send(fixture("order.paid.json"))
        await polar.send(fixture("order.refunded.partial.json"))
        await polar.send(order_paid("a wrong price", BUYER, net_amount=7))
        await admin.mutation("admin:updateBillingSettings", **PRICES)
    at = now()
    running = Job(
        kind="generation", subject="x", arguments="{}", state="leased", attempt=2, max_attempts=3,
        due_at=at + days(1), created_at=at, worker="w",
    )  # fmt: skip
    await put(world, running)

    async def was_reconciled() -> bool:
        return await one(world, Reconciliation, RECONCILIATION_ID) is not None

    await reached(was_reconciled)  # the first of the worker's own chores


async def wall_of(settings: Settings) -> Any:
    """What a visitor of a server with these settings is shown; a list's position is signed with a key that stays behind."""
    async with open_runtime(settings) as runtime:
        question = Question(WALL, msgspec.Raw(json.dumps(paged()).encode()), None)
        seen = await runtime.executor.evaluate(question, None, await runtime.store.newest())
        assert isinstance(seen.result, Value)
        return json.loads(bytes(seen.result.value))["page"]


async def test_everything_comes_back(mongod_uri: str, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    async with AsyncExitStack() as stack:
        new = await stack.enter_async_context(empty_place(mongod_uri))
        async with open_world(mongod_uri) as world, place(world.settings.mongodb_uri or "") as old:
            await live_there(world)
            assert await old.export(folder) == 0
            told = json.loads((folder / MANIFEST).read_text())
            assert [table for table, count in told["counts"].items() if not count] == []
            assert set(told["counts"]) == set(TABLES) - set(LEFT_OUT)
            assert await new.restore(folder) == 0, new.said
            assert new.said[-1] == "ledger: every balance is the sum of its movements"
            for table in exported():
                was, came = await old.rows_at(table, Timestamp(told["clusterTime"])), await new.rows(table)
                if table == "jobs":
                    ran = {row["_id"]: row["attempt"] for row in was if row["state"] == "leased"}
                    waits = [row for row in came if row["_id"] in ran]
                    assert {row["_id"]: row["attempt"] for row in waits} == ran != {}
                    assert [row for row in waits if row["state"] != "queued" or "worker" in row] == []
                    assert (2, 4) in [(row["attempt"], row["maxAttempts"]) for row in waits]
                    was, came = ([row for row in rows if row["_id"] not in ran] for rows in (was, came))
                assert came == was, table
            contents = await new.contents()
            assert len(contents) == 3
            assert contents == await old.contents()
            settings = msgspec.structs.replace(world.settings, mongodb_uri=new.uri)
            shown = await wall_of(settings)
            assert shown == await wall_of(world.settings)
            assert len(shown) == 1
        await new.store.database["pulses"].delete_many({})
        assert "is not empty" in await refusal(new.restore(folder))
        assert "holds a finished export" in await refusal(new.export(folder))


async def test_writes_go_on_and_nothing_is_torn(town: World, tmp_path: Path) -> None:
    """In the export, everybody's balance is the sum of their movements, though money moves all the time."""
    writing = True

    async def move(subject: str) -> int:
        moves = 0
        while writing:
            moves += 1
            await give(town, subject, 100 + moves)
        return moves

    async with place(town.settings.mongodb_uri or "") as old:
        movers = [asyncio.create_task(move(f"mover-{number}")) for number in range(6)]

        async def are_busy() -> bool:
            return len(await old.rows("ledger")) > 50

        await reached(are_busy)
        assert await old.export(tmp_path / "export") == 0
        writing = False
        assert min(await asyncio.gather(*movers)) > 1
        written = json.loads((tmp_path / "export" / MANIFEST).read_text())
        assert written["counts"]["ledger"] < len(await old.rows("ledger")), "they wrote meanwhile"
    sums: Counter[str] = Counter()
    for row in rows_in(tmp_path / "export", "ledger"):
        sums[row["userId"]] += row["amount"]
    assert {row["userId"]: row["credits"] for row in rows_in(tmp_path / "export", "users")} == {**sums}


def rows_in(folder: Path, table: str) -> list[dict[str, Any]]:
    parts = [part for part in read_manifest(folder).parts if part.table == table]
    return [row for part in parts for batch in read_batches(folder, part) for row in batch]


async def fill(old: Place, count: int) -> None:
    """So many small files, each with its row."""
    await set_up(old.store.database)

    async def picture(number: int) -> dict[str, Any]:
        blob_id = capability_id()
        size, sha256 = await old.vault.put(blob_id, f"picture {number}".encode() * 50, "image/webp")
        blob = Blob(
            id=Id(blob_id), kind="result", owner="ana", content_type="image/webp", size=size, sha256=sha256, width=1,
            height=1, placeholder="", uploaded_size=size, uploaded_content_type="image/webp", created_at=now(),
            creation_time=now(),
        )  # fmt: skip
        return codec.encode(blob)

    await old.store.database["_storage"].insert_many(await asyncio.gather(*map(picture, range(count))))


def files_below(folder: Path) -> list[Path]:
    """Every file whose content another one vouches for."""
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".sha256"]


def inodes(folder: Path) -> dict[str, int]:
    """What is whole there, and which file of the disk it is."""
    return {path.name: path.stat().st_ino for path in folder.glob("*/*") if path.suffix != ".part"}


async def test_a_damaged_file_is_refused_by_name(mongod_uri: str, tmp_path: Path) -> None:
    async with empty_place(mongod_uri) as old, empty_place(mongod_uri) as new:
        await fill(old, 3)
        lost = (await old.rows("_storage"))[0]["_id"]
        await old.vault.delete(lost)
        assert await old.export(tmp_path) == 1, "content that a row still asks for is lost"
        assert f"the file {lost} has a row but no content any more: it is lost" in old.said
        files = files_below(tmp_path)
        assert len(files) == 4, files
        for path in files:
            whole = path.read_bytes()
            path.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
            said = await refusal(new.restore(tmp_path))
            assert said.startswith(f"{path.relative_to(tmp_path)} is damaged: its digest")
            assert await new.rows("_storage") == []
            assert await new.contents() == {}
            path.write_bytes(whole)
        assert await new.restore(tmp_path) == 0, new.said
        assert len(await new.contents()) == 2


@asynccontextmanager
async def command(*words: str, uri: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m server` with these words; killed at the end, if it has not ended."""
    env = {name: os.environ[name] for name in INHERITED if name in os.environ}
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", *words),
        cwd=ROOT,
        env={**env, "MONGODB_URI": uri, "APP_ENV": "development"},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


async def ends_well(*words: str, uri: str) -> None:
    async with command(*words, uri=uri) as again:
        _, said = await again.communicate()
        assert again.returncode == 0, said.decode()


async def test_killed_in_the_middle_both_go_on(mongod_uri: str, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    async with empty_place(mongod_uri) as old, empty_place(mongod_uri) as new:
        await fill(old, MANY)

        async def some_are_copied() -> bool:
            return len(inodes(folder / "blobs.new")) >= 20

        async def some_are_in() -> bool:
            return len(await new.vault.older_than(clock() + 1e9, after="", limit=MANY)) >= 20

        async with command("export", str(folder), uri=old.uri):
            await reached(some_are_copied)
        kept = inodes(folder / "blobs.new")
        assert len(kept) < MANY
        assert "was not finished" in await refusal(new.restore(folder))
        await ends_well("export", str(folder), uri=old.uri)
        there = inodes(folder / "blobs")
        assert len(there) == MANY
        assert kept.items() <= there.items(), "what was copied is not copied again"

        async with command("import", str(folder), uri=new.uri):
            await reached(some_are_in)
        assert 20 <= len(await new.contents()) < MANY
        settings = read_settings({"MONGODB_URI": new.uri, "DATA_DIR": str(tmp_path)}, default_environment="development")
        with pytest.raises(ConfigurationError, match="is not finished"):
            async with open_runtime(settings):
                pass
        await ends_well("import", str(folder), uri=new.uri)
        assert await new.contents() == await old.contents()
        assert await new.rows("_storage") == await old.rows("_storage")


async def test_a_moment_that_is_forgotten_begins_again(mongod_uri: str, tmp_path: Path) -> None:
    """As after an interruption of an hour: the copies stay, the documents are read as of now."""
    async with empty_place(mongod_uri) as old:
        await fill(old, 2)
        before = await old.store.newest()
        hour_ago = Timestamp(((before >> 32) - 3_600) << 32 | 1)
        write_journal(tmp_path, Journal(export_id="e", database=old.store.database.name, cluster_time=hour_ago))
        assert await old.export(tmp_path) == 0, old.said
        assert any("has forgotten the moment" in line for line in old.said)
        assert read_manifest(tmp_path).cluster_time >= before
        assert len(rows_in(tmp_path, "_storage")) == 2


async def test_nothing_is_imported_below_a_living_server(world: World, tmp_path: Path) -> None:
    async with place(world.settings.mongodb_uri or "") as here:
        (tmp_path / "old").mkdir()
        assert await here.export(tmp_path / "old") == 0
        world.runtime.pulse.nudge()

        async def beats() -> bool:
            return await here.rows("pulses") != []

        await reached(beats)
        assert "A server runs on this database" in await refusal(here.restore(tmp_path / "old"))
