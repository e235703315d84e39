"""The watch over the driver: it ends a process whose client is stuck, and none whose database is away."""

from __future__ import annotations

import asyncio

import pytest

from server.store import connection, watch
from server.store.connection import connect
from server.store.watch import DriverStuck, watch_over
from tests.support.world import free_port

SHORT_S = 0.2


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "EVERY_S", SHORT_S)
    monkeypatch.setattr(connection, "CLOSE_DEADLINE_S", SHORT_S)


async def test_a_client_that_is_stuck_is_noticed_and_let_go_of(
    mongod_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is the driver's own, which one that never saw a connection end kept for ever."""
    monkeypatch.setattr(watch, "PATIENCE_S", 1.0)
    async with connect(mongod_uri) as client:
        watching = asyncio.create_task(watch_over(client, mongod_uri))
        await client.admin.command("ping")
        await client._topology._lock.acquire()
        with pytest.raises(DriverStuck):
            await watching
    client._topology._lock.release()
    await client.close()


async def test_a_database_that_is_away_is_waited_for(mongod_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PATIENCE_S", SHORT_S)
    nowhere = f"mongodb://127.0.0.1:{free_port()}/?directConnection=true"
    async with connect(mongod_uri) as client:
        await client._topology._lock.acquire()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(8 * SHORT_S):
                await watch_over(client, nowhere)
        client._topology._lock.release()
