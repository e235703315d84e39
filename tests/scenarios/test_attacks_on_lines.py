"""What somebody on the network could try before anything is read: slowness, length, compression, harmful characters."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import logging
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec
import pytest
from starlette.routing import Route

from server.config import Settings
from server.issuers import open_identity
from server.logs import Console, Json
from server.web import bodies, lines
from server.web.origins import Origins
from tests.scenarios.stock import paged
from tests.support.http import http_client
from tests.support.live import DEADLINE_S
from tests.support.raw import raw_socket
from tests.support.world import World

SOON_S = 0.3
TOO_BIG = 1009
TRICKLE_S = 0.05
HANDSHAKE = (
    "GET /api/sync HTTP/1.1\r\nHost: town\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
HEALTHZ = "GET /healthz HTTP/1.1\r\nHost: town\r\n"
BIG_BODY = "POST /api/query HTTP/1.1\r\nHost: town\r\nContent-Length: 1000000\r\n\r\n"
EVIL = "a\r\nlevel=error forged\x1b[2J\x1b]0;x\x07\x9b31m\x7f\u2028\u202e\u0085b"
Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def line(world: World, said: str = "") -> AsyncIterator[Line]:
    """A bare connection on which this has been said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.settings.port)
    try:
        writer.write(said.encode("latin-1"))
        async with asyncio.timeout(DEADLINE_S):
            yield reader, writer
    finally:
        writer.transport.abort()


async def trickled(on: Line, text: bytes) -> bytes:
    """Send a byte every little while, until the other side has had enough; what it said."""
    reader, writer = on
    answer = b""
    try:
        for at in range(1 << 20):
            writer.write(text[at % len(text) :][:1])
            try:
                async with asyncio.timeout(TRICKLE_S):
                    piece = await reader.read(4_096)
            except TimeoutError:
                continue
            if not piece:
                return answer
            answer += piece
    except ConnectionError:
        return answer
    raise AssertionError("the other side listens for ever")


# --- slow-loris ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["", "GET / HT", HEALTHZ, HEALTHZ + "X-Header: ", HANDSHAKE, "\r\n\r\n"])
async def test_a_head_that_does_not_end_is_cut_off(town: World, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setattr(lines, "HEAD_DEADLINE_S", SOON_S)
    async with line(town, said) as (reader, _):
        assert await reader.read() == b""
    async with line(town, said) as opened:
        assert b" 200 " not in await trickled(opened, b"x" if said else b"\r\n")


async def test_a_second_request_is_not_waited_for_longer_than_the_first(
    town: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "HEAD_DEADLINE_S", SOON_S)
    async with line(town, HEALTHZ + "\r\n") as (reader, writer):
        assert (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200")
        writer.write(b"\r\n")
        assert await trickled((reader, writer), b"\r\n") == b""


async def test_a_body_that_does_not_end_is_cut_off(town: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_DEADLINE_S", SOON_S)
    monkeypatch.setattr(lines, "HEAD_DEADLINE_S", SOON_S)
    async with line(town, BIG_BODY) as opened:
        assert (await trickled(opened, b"x")).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("began", [HEALTHZ, HANDSHAKE, "GET /"])
async def test_a_head_without_end_is_not_kept(town: World, began: str) -> None:
    async with line(town, began) as (reader, writer):
        answer = b""
        try:
            for number in range(100):
                writer.write(f"X-{number}: {'y' * 10_000}\r\n".encode() if began != "GET /" else b"y" * 10_000)
                await writer.drain()
            answer = await reader.read()
        except ConnectionError:
            pass  # it was cut off while there was more to say
        assert answer[:12] in (b"", b"HTTP/1.1 431", b"HTTP/1.1 400")
        assert writer.transport.is_closing() or reader.at_eof() or reader.exception() is not None


@pytest.mark.parametrize("more", ["".join(f"X-{number}: y\r\n" for number in range(300)), "Content-Length: 5\r\n"])
async def test_a_handshake_that_cannot_be_read_is_refused(town: World, more: str) -> None:
    async with line(town, f"{HANDSHAKE}{more}\r\n") as (reader, _):
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")


# --- compression -----------------------------------------------------------------------------------------------------


async def test_what_is_inflated_is_bounded(town: World) -> None:
    """A WebSocket message may be compressed, and is cut off where it grows beyond what any message may be; a body may not."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(deflate.compress(b" " * (1 << 20)) for _ in range(256))
    packed = (packed + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
    async with line(town, f"{HANDSHAKE}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n") as (reader, writer):
        assert b"permessage-deflate" in (await reader.readuntil(b"\r\n\r\n")).lower()
        writer.write(b"\xc1\xff" + len(packed).to_bytes(8, "big") + bytes(4) + packed)  # masked with nothing
        assert (TOO_BIG).to_bytes(2, "big") in await reader.read()
    bomb = gzip.compress(b" " * (64 << 20) + json.dumps({"path": "images:getPublicGallery", "args": paged()}).encode())
    async with http_client(base_url=town.url, timeout=DEADLINE_S) as http:
        reply = await http.post("/api/query", content=bomb, headers={"Content-Encoding": "gzip"})
        assert (reply.status_code, reply.json()["code"]) == (400, "BadRequest")


# --- headers ---------------------------------------------------------------------------------------------------------


async def test_no_answer_carries_a_header_of_the_askers(town: World) -> None:
    async with http_client(base_url=town.url, timeout=DEADLINE_S) as http:
        for method, address in (
            ("POST", "/api/storage/upload?token=x%0d%0aX-Evil:%201"),
            ("GET", "/api/storage/0123456789abcdefghjkmnpqrstvwxyz%0d%0aX-Evil:%201"),
            ("GET", "/api/storage/0123456789abcdefghjkmnpqrstvwxyz?key=%0d%0aX-Evil:%201"),
            ("GET", "/assets/%0d%0aX-Evil:%201/"),
            ("GET", "/%0d%0aX-Evil:%201"),
            ("GET", "//evil.example/%2e%2e/"),
            ("GET", "/healthz/"),
            ("GET", "/assets"),
            ("POST", "/api/query/"),
        ):
            reply = await http.request(method, address, headers={"Host": "evil.example"})
            assert 400 <= reply.status_code < 500, address
            assert "x-evil" not in reply.headers
            assert "location" not in reply.headers
            assert "evil.example" not in str(reply.headers)


@pytest.mark.parametrize(
    "origin", ["http://[::1", "null", "", "http://", "://town", "http://town.evil", "http://a@town"]
)
def test_an_origin_that_is_none_is_not_ours(origin: str) -> None:
    ours = Origins(["https://anime.example"], "https://anime.example")
    assert not ours.admits(origin, "town")
    assert not ours.admits(origin, "")
    assert ours.admits("https://town", "town")


# --- logs ------------------------------------------------------------------------------------------------------------


@contextmanager
def logged(formatter: logging.Formatter) -> Iterator[io.StringIO]:
    """What the log of the process gets, in this shape."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield written
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


@pytest.mark.parametrize("formatter", [Console(), Json()], ids=["console", "json"])
async def test_nobody_writes_lines_into_our_log(town: World, formatter: logging.Formatter) -> None:
    evil = {"type": EVIL, "requestId": 0, "udfPath": EVIL, "args": [{EVIL: EVIL}]}
    with logged(formatter) as written:
        async with http_client(base_url=town.url, timeout=DEADLINE_S) as http:
            for headers in (
                {"Authorization": "Bearer \x9b31m.\x85.\x7f"},
                {"User-Agent": "\x9b31m", "Content-Type": "\x85"},
            ):
                sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
                await http.post("/api/query", content=json.dumps({"path": EVIL, "args": {}}), headers=sent)
            await http.get("/api/storage/%1b%5b2J%0aforged?key=%0aforged")
            await http.post("/api/storage/upload?token=%1b%5b2J%0aforged")
        for message in (
            evil,
            {**evil, "type": "Mutation"},
            {"type": "Authenticate", "baseVersion": 0, "tokenType": EVIL},
        ):
            async with raw_socket(town) as socket:
                await socket.send(message)
                await socket.receive("FatalError")
        logging.getLogger("anime.test").error("refused: %s", EVIL)
        try:
            raise ValueError(EVIL)
        except ValueError:
            logging.getLogger("anime.test").exception("failed: %s", EVIL, extra={"function": EVIL})
    text = written.getvalue()
    assert "refused" in text
    for each in text.split("\n"):
        assert each.isprintable(), ascii(each)
        assert not each.startswith("level=error forged")
    if isinstance(formatter, Json):
        assert all("level" in json.loads(each) for each in text.splitlines())
        assert json.loads(text.splitlines()[-1])["function"] == EVIL


async def test_what_strangers_do_wrong_is_no_error_of_ours(town: World, caplog: pytest.LogCaptureFixture) -> None:
    async with line(town, f"{HANDSHAKE}\r\n") as (reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x81\x82\0\0\0\0\xff\xfe")  # a text that is no UTF-8
        assert b"FatalError" in await reader.read(4_096)
    async with line(town, f"{HANDSHAKE}\r\n".replace("/api/sync", "/api/latest/sync")) as (reader, _):
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    async with line(town, "nonsense\r\n\r\n") as (reader, _):
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == []


# --- production ------------------------------------------------------------------------------------------------------


async def test_production_hands_out_no_tokens(town: World) -> None:
    """Its tokens would be refused there too, as another issuer's: `test_clerk.py`."""

    async def paths(settings: Settings) -> set[str]:
        async with open_identity(settings, town.runtime) as (_, routes):
            return {each.path for each in routes if isinstance(each, Route)}

    assert "/dev/token" in await paths(town.settings)
    production = msgspec.structs.replace(town.settings, environment="production", clerk_issuer="https://clerk.test")
    assert [each for each in await paths(production) if "token" in each or "jwks" in each] == []
