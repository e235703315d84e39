"""Garbage for the whole product over real lines: answered, or blamed on its sender; others are served and no error is logged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.fuzz.conftest import answers
from tests.fuzz.corpus import CALLS, CONVERSATION, LINES, PHOTOS, STORAGE_ID
from tests.fuzz.mutations import conversation, damaged, hostile
from tests.fuzz.trials import Trials
from tests.scenarios.stock import paged
from tests.support.http import http_client
from tests.support.live import LiveClient, Refusal, world_client
from tests.support.raw import raw_socket
from tests.support.world import World

DEADLINE_S = 20.0
BLAME = {400, 401, 403, 404, 405, 408, 409, 413, 416, 422, 431}
OURS = ("Server Error", "InternalServerError", "Traceback", "pymongo", "msgspec", "starlette")
ENDED, BROKEN = 1000, 1011
GALLERY = "images:getGalleryImagesPaginated"
Quiet = Callable[[], None]


@pytest.fixture
async def http(town: World) -> AsyncIterator[httpx.AsyncClient]:
    """Anybody."""
    async with http_client(base_url=town.url, timeout=DEADLINE_S) as client:
        yield client


@pytest.fixture(scope="module")
async def mallory(town: World) -> str:
    """The token of a member who means harm."""
    return await town.token("mallory")


def nothing_of_ours(text: str) -> None:
    assert [each for each in OURS if each in text] == [], text[:500]


async def test_frames_on_sockets(town: World, healthy: LiveClient, trials: Trials, quiet: Quiet) -> None:
    """Any frames are answered, or are fatal for their own socket; nothing else."""

    def salvo(rng: Random) -> list[bytes | str]:
        frames = conversation(rng, CONVERSATION)
        return [_as_text(each) if rng.random() < 0.8 else each for each in frames]

    async def converse(frames: list[bytes | str]) -> None:
        async with raw_socket(town) as line:
            code: int | None = ENDED
            try:
                for frame in [*frames, "{}"]:  # the last one is fatal, if nothing was before it
                    await line.send(frame)
                while (await line.receive())["type"] not in ("FatalError", "AuthError"):
                    pass
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd is not None else None
            assert code is not None
            assert code != BROKEN or _claims_the_future(frames)
            for text in line.received:
                nothing_of_ours(text)

    for batch in trials.batches(salvo, 240, 12):
        with trials.blaming(batch):
            await asyncio.gather(*map(converse, batch))
            quiet()
        await answers(healthy)


async def test_bodies_of_calls(
    http: httpx.AsyncClient, mallory: str, healthy: LiveClient, trials: Trials, quiet: Quiet
) -> None:
    """Any body of a function call is answered, refused by the function, or a fault of the request; nothing else."""

    async def call(asked: tuple[str, bytes, str]) -> None:
        route, body, token = asked
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        reply = await http.post(f"/api/{route}", content=body, headers=headers)
        assert reply.status_code in BLAME | {200}, reply.text
        nothing_of_ours(reply.text)
        assert reply.status_code == 200 or set(reply.json()) == {"code", "message"}

    def asked(rng: Random) -> tuple[str, bytes, str]:
        route = rng.choice(("query", "mutation", "action", "query_at_ts"))
        return route, hostile(rng, CALLS), mallory if rng.random() < 0.7 else ""

    for batch in trials.batches(asked, 480, 16):
        with trials.blaming(batch):
            await asyncio.gather(*map(call, batch))
            quiet()
        await answers(healthy)


async def test_cursors_asked_for(town: World, healthy: LiveClient, trials: Trials, quiet: Quiet) -> None:
    """Any cursor continues its own list or is invalid, in the form from which clients recover; nothing else."""
    cursors = [
        (await healthy.query_once(path, **paged(1)))["continueCursor"].encode()
        for path in ("users:getCreditHistory", "images:getPublicGallery", GALLERY)
    ]
    for text in trials.of(lambda rng: damaged(rng, cursors), 60):
        cursor = _as_text(text)
        with trials.blaming(text):
            try:
                page = await healthy.query_once(GALLERY, **paged(1, cursor))
            except Refusal as refusal:
                blamed = "InvalidCursor" in refusal.message or refusal.code == "VALIDATION"
            else:
                blamed = page["page"] == [] and text in cursors
            assert blamed
            quiet()


async def test_lines(town: World, healthy: LiveClient, trials: Trials, quiet: Quiet) -> None:
    """Any bytes on the port are requests that are answered, a fault of the client, or nothing yet; nothing else."""

    async def say(content: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", town.settings.port)
        try:
            writer.write(content)
            writer.write_eof()  # no more will come: the server need not wait
            async with asyncio.timeout(DEADLINE_S):
                answer = await reader.read(1 << 16)
        except ConnectionError:
            answer = b""
        finally:
            writer.transport.abort()
        nothing_of_ours(answer.decode("latin-1"))
        assert not answer or not answer.startswith(b"HTTP/1.1 5"), answer

    for batch in trials.batches(lambda rng: damaged(rng, LINES), 480, 24):
        with trials.blaming(batch):
            await asyncio.gather(*map(say, batch))
            quiet()
        await answers(healthy)


async def test_uploads(town: World, trials: Trials, quiet: Quiet) -> None:
    """Any upload becomes a photo of ours or is refused in words, and its grant stays good for a better one; nothing else."""
    address = None
    for number, content in enumerate(trials.of(lambda rng: damaged(rng, PHOTOS), 30)):
        async with world_client(town, f"photographer-{number // 50}") as person:
            address = address or await person.mutation("images:generateUploadUrl")
            with trials.blaming(content.hex()):
                reply = await person.http.post(address, content=content)
                assert reply.status_code in (200, 400), reply.text
                nothing_of_ours(reply.text)
                if reply.status_code == 200:
                    assert len(reply.json()["storageId"]) == len(STORAGE_ID)
                    address = None
                quiet()


def _as_text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _claims_the_future(frames: list[bytes | str]) -> bool:
    """Has the client seen what has not happened? Such a socket is closed as if by an accident (sync-protocol 4.5)."""
    return any("maxObservedTimestamp" in (each if isinstance(each, str) else _as_text(each)) for each in frames)
