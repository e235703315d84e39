"""The story of a backup: everything is written into a folder at one moment, and comes back as it was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from schema.tables import TABLES
from server.runtime import DATABASE, blobs_of, clock
from server.store.connection import connect
from server.store.gridfs import BlobVault
from server.store.mongo import MongoStore
from server.transfer.choice import LEFT_OUT, exported
from server.transfer.command import export_to, import_from
from server.transfer.errors import TransferRefused
from tests.scenarios.stock import paged
from tests.support.live import LiveClient, world_client
from tests.support.world import World, fresh_database, open_world

WALL = "images:getPublicGallery"
Client = AsyncMongoClient[dict[str, Any]]


class Place:
    """A database to export from or import into, as the commands see it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.store = MongoStore(client, client.get_default_database(DATABASE).name)
        self.vault = BlobVault(client, blobs_of(self.store))
        self.said: list[str] = []

    async def export(self, folder: Path) -> int:
        return await export_to(folder, self.client, self.store, self.vault, clock=clock, tell=self.said.append)

    async def restore(self, folder: Path) -> int:
        return await import_from(folder, self.client, self.store, self.vault, clock=clock, tell=self.said.append)

    async def rows(self, table: str) -> list[dict[str, Any]]:
        return [row async for row in self.store.database[table].find().sort("_id", 1)]

    async def contents(self) -> dict[str, bytes]:
        ids = await self.vault.older_than(clock() + 1e9, after="", limit=1_000)
        return {each: b"".join([piece async for piece in self.vault.read(each)]) for each in ids}


@asynccontextmanager
async def place(uri: str) -> AsyncIterator[Place]:
    async with connect(uri) as client:
        yield Place(client)


@asynccontextmanager
async def empty_place(mongod_uri: str) -> AsyncIterator[Place]:
    async with place(fresh_database(mongod_uri)) as opened:
        try:
            yield opened
        finally:
            for name in (opened.store.database.name, opened.vault.database_name):
                await opened.client.drop_database(name)


def refusal(group: BaseException) -> str:
    """The sentence, out of the groups that tasks wrap it in."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    assert isinstance(group, TransferRefused), repr(group)
    return str(group)


async def draw(person: LiveClient) -> None:
    gallery = await person.watch("images:getGalleryImagesPaginated", **paged())
    await person.photo()
    await gallery.until(lambda page: [each["isGenerated"] for each in page["page"]] == [True])


async def test_everything_comes_back(mongod_uri: str, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    async with open_world(mongod_uri) as world, place(world.settings.mongodb_uri or "") as old:
        async with world_client(world, "ana") as ana:
            await draw(ana)
            wall = await ana.query_once(WALL, **paged())
        assert await old.export(folder) == 0
        async with empty_place(mongod_uri) as new:
            assert await new.restore(folder) == 0, new.said
            assert "ledger: every balance is the sum of its movements" in new.said
            for table in exported():
                if table != "jobs":
                    assert await new.rows(table) == await old.rows(table), table
            assert await new.contents() == await old.contents() != {}
