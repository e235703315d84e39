"""The story of limits: so many of everything for each member and each address, one more is refused, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from schema import reader
from schema.moderation import AuditEntry
from schema.paging import MAX_PAGE_ITEMS
from server.executor import MAX_MUTATION_RESULT_BYTES, MAX_RESULT_BYTES
from server.web import socket
from subscriptions.query_set import MAX_QUERIES
from tests.scenarios.limited_functions import limited
from tests.scenarios.stock import found, paged, put
from tests.support.http import http_client
from tests.support.live import DEADLINE_S, LiveClient, Refusal, Value, world_client
from tests.support.pictures import jpeg
from tests.support.raw import Message, RawSocket, raw_socket
from tests.support.world import World, open_world

WALL = "images:getPublicGallery"
CREDITS = "users:getCurrentUserCredits"
ELSEWHERE = "203.0.113.7"
BACKOFF = "TooManyConcurrentRequests"
"""The prefix of a close reason from which the published clients wait 3 s and more (sync-protocol 5)."""


@asynccontextmanager
async def handshake(world: World, address: str | None = None) -> AsyncIterator[ClientConnection]:
    """A socket, through a proxy on this machine if it comes from another address. Raises `InvalidStatus`."""
    url = f"{world.url.replace('http', 'ws', 1)}/api/1.48.0/sync"
    headers = {} if address is None else {"X-Forwarded-For": address}
    async with connect(url, additional_headers=headers, proxy=None, compression=None) as line:
        yield line


async def refused_handshake(world: World, address: str | None = None) -> Value:
    """The body with which a handshake must be refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with handshake(world, address):
            pass
    response = refused.value.response
    body = json.loads(response.body)
    assert (response.status_code, body["code"]) == (429, "RATE_LIMITED")
    assert int(response.headers["Retry-After"]) * 1_000 >= body["retryAfterMs"] > 0
    return body


async def bad_sign_in(world: World) -> str:
    """What a token that is nobody's is answered with: a message, or a close reason."""
    return await sign_in(world, "nonsense")


async def sign_in(world: World, token: str, address: str | None = None) -> str:
    """What a token is answered with: the first message's type, or the reason of the end."""
    async with handshake(world, address) as line:
        claim = {"type": "Authenticate", "baseVersion": 0, "tokenType": "User", "value": token}
        await line.send(json.dumps(claim))
        try:
            async with asyncio.timeout(DEADLINE_S):
                return str(json.loads(await line.recv())["type"])
        except ConnectionClosed:
            return f"{line.close_code} {line.close_reason}"


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Ask again until it is so: the server hears a little later that somebody left."""
    async with asyncio.timeout(DEADLINE_S):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@asynccontextmanager
async def plain_http(world: World, token: str = "", address: str = "") -> AsyncIterator[httpx.AsyncClient]:
    headers = {
        **({"Authorization": f"Bearer {token}"} if token else {}),
        **({"X-Forwarded-For": address} if address else {}),
    }
    async with http_client(base_url=world.url, headers=headers, timeout=DEADLINE_S) as client:
        yield client


async def asked(http: httpx.AsyncClient) -> int:
    """The status of one anonymous question; a refused one says when to come back."""
    reply = await http.post("/api/query", json={"path": WALL, "args": paged(), "format": "convex_encoded_json"})
    if reply.status_code == 429:
        body = reply.json()
        assert set(body) == {"code", "message", "retryAfterMs"}
        assert body["code"] == "RATE_LIMITED"
        assert int(reply.headers["Retry-After"]) * 1_000 >= body["retryAfterMs"] > 0
    return reply.status_code


async def refusal_of(call: object) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await call  # type: ignore[misc]
    return refused.value


async def test_open_sockets_of_one_address(mongod_uri: str) -> None:
    async with open_world(mongod_uri, MAX_SOCKETS_PER_ADDRESS="2") as world, handshake(world):
        async with handshake(world):
            await refused_handshake(world)
            async with handshake(world, ELSEWHERE):
                pass

        async def is_let_in() -> bool:
            try:
                async with handshake(world):
                    return True
            except InvalidStatus:
                return False

        await until(is_let_in)


async def test_new_sockets_of_one_address(mongod_uri: str) -> None:
    async with open_world(mongod_uri, SOCKETS_PER_MINUTE_PER_ADDRESS="3") as world:
        for address in (None, "2001:db8:1:2::a", ELSEWHERE):
            for _ in range(3):
                async with handshake(world, address):
                    pass
            assert (await refused_handshake(world, address))["retryAfterMs"] <= 20_000
        await refused_handshake(world, "2001:db8:1:2:ffff::b")  # another one of the same household


async def test_what_a_stranger_claims_of_addresses_is_not_believed(mongod_uri: str) -> None:
    variables = {"SOCKETS_PER_MINUTE_PER_ADDRESS": "1", "FORWARDED_ALLOW_IPS": "10.0.0.1"}
    async with open_world(mongod_uri, registry=None, **variables) as world:
        async with handshake(world, ELSEWHERE):
            pass
        await refused_handshake(world, "203.0.113.8")


async def test_open_sockets_of_one_member(mongod_uri: str) -> None:
    async with open_world(mongod_uri, MAX_SOCKETS_PER_MEMBER="2") as world, AsyncExitStack() as stack:
        token = await world.token("ana")
        first = await stack.enter_async_context(raw_socket(world))
        for version in range(3):
            await first.authenticate(token, version)  # the same member again takes no further seat
            await first.receive("Transition")
        async with raw_socket(world) as second:
            await second.authenticate(token)
            await second.receive("Transition")
            assert (await sign_in(world, token)).startswith(f"1013 {BACKOFF}")
            assert await sign_in(world, await world.token("ben")) == "Transition"
            await second.authenticate(await world.token("cid"), 1)  # who signs out leaves the seat
            await second.receive("Transition")
            assert await sign_in(world, token) == "Transition"

        async def is_let_in() -> bool:
            return await sign_in(world, token) == "Transition"

        await until(is_let_in)
        await first.add(0, CREDITS, {})
        await first.receive("Transition")


async def test_failed_sign_ins_of_one_address(mongod_uri: str) -> None:
    async with open_world(mongod_uri, FAILED_SIGN_INS_PER_MINUTE_PER_ADDRESS="3") as world:
        good = await world.token("ana")
        assert [await sign_in(world, good) for _ in range(5)] == ["Transition"] * 5
        assert [await bad_sign_in(world) for _ in range(3)] == ["AuthError"] * 3
        for token in ("nonsense", good):
            reason = await sign_in(world, token)
            assert reason.startswith(f"1013 {BACKOFF}")
            assert "RATE_LIMITED" in reason
        async with plain_http(world, good) as http:
            assert await asked(http) == 429
        async with plain_http(world) as http:
            assert await asked(http) == 200
        assert await sign_in(world, good, ELSEWHERE) == "Transition"


async def test_calls_without_a_socket(mongod_uri: str) -> None:
    variables = {"HTTP_CALLS_PER_MINUTE_PER_ADDRESS": "3", "HTTP_CALLS_PER_MINUTE_PER_MEMBER": "4"}
    async with open_world(mongod_uri, registry=None, **variables) as world:
        for address in ("", ELSEWHERE):
            async with plain_http(world, address=address) as http:
                assert [await asked(http) for _ in range(5)] == [200] * 3 + [429] * 2
        token = await world.token("ana")
        async with plain_http(world, token) as here, plain_http(world, token, ELSEWHERE) as there:
            assert [await asked(here) for _ in range(2)] + [await asked(there) for _ in range(3)] == [200] * 4 + [429]
        async with plain_http(world, await world.token("ben")) as http:
            assert await asked(http) == 200


async def uploads(client: LiveClient, times: int, address: str = "") -> list[int]:
    """The status of each upload."""
    headers = {"X-Forwarded-For": address} if address else {}
    statuses = []
    for _ in range(times):
        link = await client.mutation("images:generateUploadUrl")
        reply = await client.http.post(link, content=jpeg(), headers=headers)
        statuses.append(reply.status_code)
        if reply.status_code == 429:
            assert set(reply.json()) == {"code", "message", "retryAfterMs"}
            assert int(reply.headers["Retry-After"]) > 0
    return statuses


async def test_uploads(mongod_uri: str) -> None:
    variables = {"UPLOADS_PER_MINUTE_PER_MEMBER": "2", "UPLOADS_PER_MINUTE_PER_ADDRESS": "4"}
    async with (
        open_world(mongod_uri, registry=None, **variables) as world,
        world_client(world, "ana") as ana,
        world_client(world, "ben") as ben,
    ):
        assert await uploads(ana, 3) == [200, 200, 429]
        assert await uploads(ben, 2) == [200, 429]
        assert await uploads(ben, 2, ELSEWHERE) == [200, 429]


async def test_mutations_of_one_member(mongod_uri: str) -> None:
    async with (
        open_world(mongod_uri, MUTATIONS_PER_MINUTE_PER_MEMBER="3") as world,
        world_client(world, "ana") as ana,
        world_client(world, "ben") as ben,
    ):
        for path in ("users:ensureUser", "images:generateUploadUrl", "users:ensureUser"):
            await ana.mutation(path)
        refused = await refusal_of(ana.mutation("images:generateUploadUrl"))
        assert set(refused.data) == {"code", "message", "retryAfterMs"}
        assert 0 < refused.data["retryAfterMs"] <= 20_000
        assert refused.message.startswith("RATE_LIMITED: ")
        assert (await ana.query_once(CREDITS))["credits"] == 10
        await ben.mutation("users:ensureUser")


async def answer(line: RawSocket, request_id: int) -> Message:
    await line.mutate(request_id, "limited:note", {})
    return await line.receive("MutationResponse")


async def test_a_refused_mutation_can_be_sent_again_and_one_that_was_done_is_never_refused(mongod_uri: str) -> None:
    hello: Message = {"type": "Connect", "sessionId": str(uuid4()), "lastCloseReason": None}
    async with open_world(mongod_uri, registry=limited()) as world:
        token = await world.token("ana")
        async with raw_socket(world) as line:
            await line.send({**hello, "connectionCount": 0})
            await line.authenticate(token)
            answers = [await answer(line, number) for number in range(3)]
        assert [each["success"] for each in answers] == [True, True, False]
        assert answers[2]["errorData"]["code"] == "RATE_LIMITED"
        async with raw_socket(world) as line:
            await line.send({**hello, "connectionCount": 1})
            await line.authenticate(token)
            again = [await answer(line, number) for number in (0, 1, 0, 1, 0, 1)]
            assert [each["success"] for each in again] == [True] * 6
            await asyncio.sleep(answers[2]["errorData"]["retryAfterMs"] / 1_000)
            assert (await answer(line, 2))["success"] is True
        assert len(await found(world, AuditEntry.by_created.all())) == 3


async def test_a_function_with_a_rate_of_its_own(mongod_uri: str) -> None:
    async with (
        open_world(mongod_uri, registry=limited()) as world,
        world_client(world, "ana") as ana,
        world_client(world, "ben") as ben,
    ):
        for ask, path in ((ana.mutation, "limited:note"), (ana.action, "limited:errand")):
            await asyncio.gather(ask(path), ask(path))
            refused = await refusal_of(ask(path))
            assert refused.code == "RATE_LIMITED"
            await asyncio.sleep(refused.data["retryAfterMs"] / 1_000)
            await ask(path)
        await asyncio.gather(ben.mutation("limited:note"), ben.mutation("limited:note"))


async def test_time_for_one_call(mongod_uri: str) -> None:
    variables = {"QUERY_TIMEOUT_S": "1", "MUTATION_TIMEOUT_S": "1", "ACTION_TIMEOUT_S": "1"}
    async with open_world(mongod_uri, registry=limited(), **variables) as world, world_client(world) as visitor:
        refusals = await asyncio.gather(
            refusal_of(visitor.query_once("limited:endless")),
            refusal_of(visitor.mutation("limited:endlessByMutation")),
            refusal_of(visitor.action("limited:endlessByAction")),
        )
        assert all(each.message.endswith("Server Error") and each.data is None for each in refusals)
        assert await visitor.query_once("limited:letters", count=1) == "a"


async def test_the_size_of_a_result(mongod_uri: str) -> None:
    async with open_world(mongod_uri, registry=limited()) as world, world_client(world) as visitor:
        for ask, path, limit in (
            (visitor.query_once, "limited:letters", MAX_RESULT_BYTES),
            (visitor.mutation, "limited:lettersByMutation", MAX_MUTATION_RESULT_BYTES),
            (visitor.action, "limited:lettersByAction", MAX_RESULT_BYTES),
        ):
            longest = limit - len('""')
            assert len(await ask(path, count=longest)) == longest
            refused = await refusal_of(ask(path, count=longest + 1))
            assert (refused.code, refused.data["field"]) == ("VALIDATION", "arguments")
            assert "ask for less" in refused.message


async def test_the_size_of_a_page(town: World) -> None:
    async with world_client(town) as visitor:
        assert (await visitor.query_once(WALL, **paged(MAX_PAGE_ITEMS)))["isDone"] is True
        for size in (MAX_PAGE_ITEMS + 1, 0):
            assert (await refusal_of(visitor.query_once(WALL, **paged(size)))).code == "VALIDATION"


async def test_queries_on_one_socket(town: World) -> None:
    def added(first: int, last: int, base: int) -> Message:
        edits = [{"type": "Add", "queryId": each, "udfPath": WALL, "args": [paged()]} for each in range(first, last)]
        return {"type": "ModifyQuerySet", "baseVersion": base, "newVersion": base + 1, "modifications": edits}

    async with raw_socket(town) as line:
        await line.send(added(0, MAX_QUERIES, base=0))
        shown = await line.receive("Transition")
        assert len(shown["modifications"]) == MAX_QUERIES
        await line.send(added(MAX_QUERIES, MAX_QUERIES + 1, base=1))
        assert await line.closed() == (1013, "TooManyQueries")


async def test_rows_read_by_one_call(mongod_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_ROWS_PER_CALL", 3)
    async with open_world(mongod_uri, registry=limited()) as world, world_client(world) as visitor:
        await put(world, *(AuditEntry(actor="a", action="b", target="c", created_at=float(each)) for each in range(5)))
        assert await visitor.query_once("limited:rows", count=3) == 3
        refused = await refusal_of(visitor.query_once("limited:rows", count=4))
        assert (refused.code, refused.data["field"]) == ("VALIDATION", "arguments")


async def test_sockets_of_one_process(mongod_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "MAX_SOCKETS", 1)
    async with open_world(mongod_uri) as world, handshake(world):
        with pytest.raises(InvalidStatus) as refused:
            async with handshake(world):
                pass
        assert refused.value.response.status_code == 503
