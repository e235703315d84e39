"""A client of a deployment that can do what we need: sessions, transactions, change streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pymongo
from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError as DriverConfigurationError
from pymongo.errors import InvalidURI, PyMongoError
from pymongo.monitoring import CommandListener

from server.config import ConfigurationError
from server.trust import refused_certificate

CONNECT_TIMEOUT_MS = 5_000
SELECTION_TIMEOUT_MS = 8_000
CHECK_DEADLINE_S = 15.0
CLOSE_DEADLINE_S = 5.0
MAX_POOL = 64
OLDEST_VERSION = (6, 0)


@asynccontextmanager
async def connect(
    uri: str, listeners: Sequence[CommandListener] = ()
) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
    """A client, checked. Raises `ConfigurationError` naming `MONGODB_URI` and the reason."""
    try:
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            uri,
            w="majority",
            appname="anime-leak",
            connectTimeoutMS=CONNECT_TIMEOUT_MS,
            serverSelectionTimeoutMS=SELECTION_TIMEOUT_MS,
            maxPoolSize=MAX_POOL,
            event_listeners=listeners,
        )
    except (InvalidURI, DriverConfigurationError, ValueError):
        raise ConfigurationError(
            "MONGODB_URI is not a MongoDB address; it begins with mongodb:// or mongodb+srv://."
        ) from None
    try:
        await _check(client)
        yield client
    finally:
        with suppress(TimeoutError):  # a driver that is stuck cannot even be closed
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await client.close()


async def _check(client: AsyncMongoClient[dict[str, Any]]) -> None:
    try:
        with pymongo.timeout(CHECK_DEADLINE_S):
            hello = await client.admin.command("hello")
            version = (await client.server_info())["versionArray"]
    except PyMongoError as error:
        if why := refused_certificate(error):
            raise ConfigurationError(
                f"The database at MONGODB_URI shows a certificate that does not count here: {why}. Renew it there, or name "
                "the authority that has signed it with tlsCAFile= in MONGODB_URI."
            ) from None
        raise ConfigurationError(
            f"The database at MONGODB_URI does not answer ({type(error).__name__}). Is it running, and reachable from here?"
        ) from None
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise ConfigurationError(
            "MONGODB_URI leads to a standalone server, which has neither transactions nor change streams. Start it with "
            "--replSet and run rs.initiate(), or leave MONGODB_URI unset for the embedded one."
        )
    if tuple(version[:2]) < OLDEST_VERSION:
        raise ConfigurationError(
            f"MONGODB_URI leads to MongoDB {'.'.join(map(str, version[:3]))}; this needs 6.0 or later."
        )
