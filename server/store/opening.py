"""The database that the settings name, or one of our own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandListener

from server.config import Settings
from server.store.connection import connect
from server.store.embedded import EmbeddedMongod


@asynccontextmanager
async def open_database(
    settings: Settings, listeners: Sequence[CommandListener] = ()
) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
    """A client of the configured deployment, or of an embedded one that lives as long as this context."""
    if settings.mongodb_uri is not None:
        async with connect(settings.mongodb_uri, listeners) as client:
            yield client
        return
    async with (
        EmbeddedMongod(settings.data_dir) as mongod,
        connect(mongod.uri, listeners) as client,
        asyncio.TaskGroup() as group,
    ):
        # It raises when the database cannot be kept alive: the end of everything.
        watch = group.create_task(mongod.wait())
        try:
            yield client
        finally:
            watch.cancel()
