"""A web process that was told to stop: it says so, serves on, and sees its clients off one after the other.

Nothing here looks at a clock: what is spread over time is shown by what happens in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.support import pictures
from tests.support.http import http_client
from tests.support.raw import RawSocket, raw_socket
from tests.support.world import World, open_world

SOCKETS = 4
DRAIN_S = 3
ENSURE = "users:ensureUser"


@pytest.fixture
async def leaving(mongod_uri: str) -> AsyncIterator[World]:
    """A product that takes its time to stop."""
    async with open_world(mongod_uri, DRAIN_S=str(DRAIN_S)) as opened:
        yield opened


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client() as client:
        yield client


async def signed_in(world: World, stack: AsyncExitStack, subject: str) -> RawSocket:
    """Somebody's socket, who has an account."""
    socket = await stack.enter_async_context(raw_socket(world))
    connect = {"type": "Connect", "sessionId": str(uuid4()), "connectionCount": 0}
    await socket.send({**connect, "lastCloseReason": None})
    await socket.authenticate(await world.token(subject))
    await socket.mutate(0, ENSURE, {})
    assert (await socket.receive("MutationResponse"))["success"]
    return socket


async def test_clients_leave_in_turn_while_everything_is_served(leaving: World, http: httpx.AsyncClient) -> None:
    async with AsyncExitStack() as stack:
        sockets = [await signed_in(leaving, stack, f"person-{number}") for number in range(SOCKETS)]
        *others, last = sockets
        assert (await http.get(f"{leaving.url}/readyz")).json()["ready"] is True
        draining = asyncio.create_task(leaving.runtime.drain())
        left: list[tuple[int, tuple[int, str]]] = []

        async def sees_off(number: int, socket: RawSocket) -> None:
            left.append((number, await socket.closed()))

        async with asyncio.TaskGroup() as group:
            leaves = [group.create_task(sees_off(number, socket)) for number, socket in enumerate(others)]
            await asyncio.wait(leaves, return_when=asyncio.FIRST_COMPLETED)

            answer = await http.get(f"{leaving.url}/readyz")
            assert (answer.status_code, answer.json()) == (503, {"ready": False, "draining": True})
            assert answer.headers["connection"] == "close"
            assert (await http.get(f"{leaving.url}/healthz")).status_code == 200
            with pytest.raises(InvalidStatus) as refused:
                async with raw_socket(leaving):
                    pass
            assert refused.value.response.status_code == 503

            await asyncio.wait(leaves)
            await last.mutate(1, ENSURE, {})  # whoever is still here is served as ever
            assert (await last.receive("MutationResponse"))["requestId"] == 1
        assert await last.closed() == (1001, "")
        assert left == [(number, (1001, "")) for number in range(SOCKETS - 1)], "who came first leaves first"
        await draining
        assert leaving.runtime.readings.sockets == 0


async def test_nobody_leaves_without_the_answer_to_what_has_begun(leaving: World) -> None:
    """A mutation waits for a document that somebody else has locked; behind it waits another of the same client."""
    async with AsyncExitStack() as stack:
        ana = await signed_in(leaving, stack, "ana")
        ben = await signed_in(leaving, stack, "ben")
        client = leaving.runtime.store.client
        users = leaving.runtime.store.database["users"]
        await leaving.runtime.make_admin("ana")
        adjust = {"userId": "ana", "amount": 1, "reason": "under way"}
        async with client.start_session() as session, await session.start_transaction():
            await users.update_one({"userId": "ana"}, {"$set": {"updatedAt": 1.0}}, session=session)
            await ana.mutate(1, "admin:adjustCredits", adjust)
            await ana.mutate(2, "admin:adjustCredits", {**adjust, "reason": "never begun"})
            draining = asyncio.create_task(leaving.runtime.drain())
            assert await ben.closed() == (1001, ""), "nobody else waits for it"
            await session.abort_transaction()
        assert (await ana.receive("MutationResponse"))["requestId"] == 1
        assert await ana.closed() == (1001, "")
        await draining
        assert not [text for text in ana.received if '"requestId":2' in text.replace(" ", "")]
        rows = await leaving.runtime.store.database["auditLog"].find({}).to_list()
        assert [row["reason"] for row in rows if row["action"] == "credits.adjusted"] == ["+1: under way"]


async def test_an_upload_on_its_way_arrives(leaving: World, http: httpx.AsyncClient) -> None:
    photo = pictures.jpeg()
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield photo[:100]
        begun.set()
        await may_end.wait()
        yield photo[100:]

    async with AsyncExitStack() as stack:
        ana = await signed_in(leaving, stack, "ana")
        await ana.mutate(1, "images:generateUploadUrl", {})
        address: Any = (await ana.receive("MutationResponse"))["result"]
        upload = asyncio.create_task(http.post(address, content=slowly(), headers={"content-type": "image/jpeg"}))
        await begun.wait()
        draining = asyncio.create_task(leaving.runtime.drain())
        assert await ana.closed() == (1001, "")
        may_end.set()
        answer = await upload
        assert answer.status_code == 200, answer.text
        assert answer.headers["connection"] == "close"
        await draining
