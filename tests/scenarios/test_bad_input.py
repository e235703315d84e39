"""The story of bad input: whatever arrives, the sender is told in words of our own, and nobody else notices."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from websockets.exceptions import InvalidStatus

from server.dev.issuer import DevIssuer
from server.processes import MAX_FRAME_BYTES
from tests.scenarios.conftest import Meet
from tests.scenarios.stock import end_trial_in, now, paged
from tests.support.live import LiveClient, Refusal, Value, world_client
from tests.support.raw import Message, RawSocket, raw_socket
from tests.support.world import World, open_world

SESSION = "5b0a4c0e-3f5c-4f0e-9b0a-2f1c7d1e8a11"
WALL = "images:getPublicGallery"
INSIDES = (
    "Traceback",
    'File "',
    ".py",
    "pymongo",
    "Mongo",
    "msgspec",
    "starlette",
    "uvicorn",
    "jwt",
    "server.",
    "codec",
)
HELLO: Message = {"type": "Connect", "sessionId": SESSION, "connectionCount": 0, "lastCloseReason": None}
ADD: Message = {"type": "Add", "queryId": 0, "udfPath": WALL, "args": [paged()]}


def edit(*modifications: Message, base: int = 0, new: int = 1) -> Message:
    return {"type": "ModifyQuerySet", "baseVersion": base, "newVersion": new, "modifications": list(modifications)}


def call(path: str, args: Value, kind: str = "Mutation", request_id: Value = 0) -> Message:
    return {"type": kind, "requestId": request_id, "udfPath": path, "args": args}


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


BROKEN: dict[str, str | bytes | Message] = {
    "nothing": "",
    "half an object": '{"type":"Conn',
    "an array": "[]",
    "a text": '"Connect"',
    "no type": {},
    "an unknown type": {"type": "Nonsense"},
    "a type that is no text": {"type": 7},
    "a binary frame": b"\x00\xff\x10",
    "not UTF-8 inside": b'{"type":"Event","eventType":"\xff"}',
    "a lone surrogate": '{"type":"Mutation","requestId":0,"udfPath":"a:b","args":[{"x":"\\ud800"}]}',
    "an array nested too deeply": "[" * 100_000,
    "an object nested too deeply": '{"type":"Event","eventType":"x","event":' + nested(50_000) + "}",
    "arguments nested too deeply": '{"type":"Mutation","requestId":0,"udfPath":"a:b","args":[' + nested(65) + "]}",
    "a session that is no UUID": {**HELLO, "sessionId": "me"},
    "an observed time that is no time": {**HELLO, "maxObservedTimestamp": "x"},
    "an observed time of nine bytes": {**HELLO, "maxObservedTimestamp": "AAAAAAAAAAAA"},
    "an edit on a version not held": edit(ADD, base=3, new=4),
    "an edit that goes nowhere": edit(ADD, base=0, new=0),
    "the same query twice": edit(ADD, ADD),
    "an unknown query removed": edit({"type": "Remove", "queryId": 9}),
    "an unknown edit": edit({"type": "Change", "queryId": 0}),
    "a query without a number": edit({"type": "Add", "udfPath": WALL, "args": [{}]}),
    "a negative number": edit({**ADD, "queryId": -1}),
    "a number too large": edit({**ADD, "queryId": 2**32}),
    "a path that is none": edit({**ADD, "udfPath": "../etc/passwd"}),
    "a path with a NUL": edit({**ADD, "udfPath": "images:\u0000"}),
    "a path without end": edit({**ADD, "udfPath": "a" * 5_000}),
    "two objects of arguments": call("users:ensureUser", [{}, {}]),
    "arguments that are no object": call("users:ensureUser", [7]),
    "arguments that are no array": call("users:ensureUser", {}),
    "a request without a number": {"type": "Mutation", "udfPath": "users:ensureUser", "args": [{}]},
    "an identity on a version not held": {"type": "Authenticate", "baseVersion": 5, "tokenType": "None"},
    "a claim without a token": {"type": "Authenticate", "baseVersion": 0, "tokenType": "User"},
    "an unknown kind of token": {"type": "Authenticate", "baseVersion": 0, "tokenType": "Root", "value": "x"},
}


@pytest.fixture(scope="module")
async def healthy(town: World) -> AsyncIterator[LiveClient]:
    """Somebody on another socket of the same product, who must not notice anything."""
    async with world_client(town, "healthy") as client:
        await client.mutation("users:ensureUser")
        yield client


@pytest.fixture(autouse=True)
async def nobody_else_notices(healthy: LiveClient) -> AsyncIterator[None]:
    yield
    assert await healthy.query_once("users:getCurrentUserCredits") == {"credits": 10, "hasFreeTrial": True}


@contextmanager
def in_our_own_words(line: RawSocket) -> Iterator[None]:
    """Nothing that arrives tells of our insides."""
    yield
    for text in line.received:
        assert [inside for inside in INSIDES if inside in text] == [], text


@pytest.mark.parametrize("fault", BROKEN)
async def test_what_breaks_the_protocol_is_fatal_for_its_sender(town: World, fault: str) -> None:
    async with raw_socket(town) as line:
        with in_our_own_words(line):
            await line.send(BROKEN[fault])
            told = await line.receive("FatalError")
            assert set(told) == {"type", "error"}
            assert 10 < len(told["error"]) < 300


async def test_a_frame_beyond_the_limit_closes_the_socket(town: World) -> None:
    async with raw_socket(town) as line:
        line.announce(MAX_FRAME_BYTES + 1)
        assert (await line.closed())[0] == 1009


async def test_after_a_fatal_error_nothing_is_heard(town: World, meet: Meet) -> None:
    async with meet("ana") as ana, raw_socket(town) as line:
        assert ana.subject is not None
        await line.authenticate(await town.token(ana.subject))
        await line.send(edit(ADD, base=7, new=8))
        await line.mutate(0, "users:ensureUser", {})
        await line.receive("FatalError")
        assert await line.closed() == (1000, "")
        assert "MutationResponse" not in str(line.received)
        assert (await ana.query_once("users:getCurrentUserCredits"))["credits"] == 0


@pytest.mark.parametrize("path", ["images:nothing", "images:generateImage", "users:upsertFromClerkWebhook", "x/y:z"])
async def test_an_internal_function_reads_like_one_that_does_not_exist(meet: Meet, path: str) -> None:
    async with meet("ana") as ana:
        for ask in (ana.query_once, ana.mutation, ana.action):
            with pytest.raises(Refusal) as refusal:
                await ask(path)
            assert refusal.value.message == f"Could not find public function for '{path}'"
            assert refusal.value.data is None


async def test_a_function_of_another_kind_is_not_found(meet: Meet) -> None:
    async with meet("ana") as ana:
        for ask, path in (
            (ana.query_once, "users:ensureUser"),
            (ana.action, "users:ensureUser"),
            (ana.mutation, "users:getCurrentUserCredits"),
            (ana.action, "users:getCurrentUserCredits"),
        ):
            with pytest.raises(Refusal) as refusal:
                await ask(path)
            assert refusal.value.message == f"Could not find public function for '{path}'"
        assert (await ana.query_once("users:getCurrentUserCredits"))["credits"] == 0


GENERATE, FEATURE = "images:uploadAndScheduleGeneration", "images:updateFeaturedStatus"


@pytest.mark.parametrize(
    ("path", "args", "field", "expected"),
    [
        (GENERATE, {}, "storageId", "is required"),
        (GENERATE, {"storageId": 7}, "storageId", "expected str, got int"),
        (GENERATE, {"storageId": None}, "storageId", "expected str, got null"),
        (GENERATE, {"storageId": ["a"]}, "storageId", "expected str, got array"),
        (GENERATE, {"storageId": {"$ne": None}}, "storageId", "expected str, got object"),
        (GENERATE, {"storageId": ""}, "storageId", "expected str of length >= 1"),
        (GENERATE, {"storageId": "x" * 65}, "storageId", "expected str of length <= 64"),
        (GENERATE, {"storageId": "x", "originalWidth": "wide"}, "originalWidth", "expected float | null, got str"),
        (GENERATE, {"storageId": "x", "price": 0}, "price", "is not an argument of this function"),
        (FEATURE, {"imageId": "x"}, "isFeatured", "is required"),
        (FEATURE, {"imageId": "x", "isFeatured": 1}, "isFeatured", "expected bool, got int"),
        (FEATURE, {"imageId": "x", "isFeatured": "yes"}, "isFeatured", "expected bool, got str"),
        ("users:ensureUser", {"userId": "somebody else"}, "userId", "is not an argument of this function"),
    ],
)
async def test_wrong_arguments_are_named(meet: Meet, path: str, args: Value, field: str, expected: str) -> None:
    async with meet("ana") as ana:
        with pytest.raises(Refusal) as refusal:
            await ana.mutation(path, **args)
        assert refusal.value.data == {"code": "VALIDATION", "field": field, "message": f"{field}: {expected}"}
        assert refusal.value.message == f"VALIDATION: {field}: {expected}"


def signed(world: World, issuer: DevIssuer, subject: str, lifetime_s: float) -> str:
    return issuer.token(subject, now=now() - 3_600_000.0, lifetime_s=3_600.0 + lifetime_s)


def issuer_of(world: World) -> DevIssuer:
    return DevIssuer.open(f"{world.url}/dev", world.settings.data_dir)


def bad_tokens(world: World) -> dict[str, str]:
    stranger = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    good = issuer_of(world)
    claims = {"iss": good.issuer, "sub": "ana", "aud": "convex", "iat": 1, "exp": 4_000_000_000}
    header, body, signature = good.token("ana", now=now()).split(".")
    kid = {"kid": jwt.get_unverified_header(f"{header}.{body}.{signature}")["kid"]}
    unsigned = jwt.encode(claims, "", algorithm="none", headers=kid)
    return {
        "expired": signed(world, good, "ana", -60.0),
        "of another key": jwt.encode(claims, stranger, algorithm="RS256", headers=kid),
        "of a key nobody knows": DevIssuer(good.issuer, stranger).token("ana", now=now()),
        "of another issuer": DevIssuer.open("http://elsewhere", world.settings.data_dir).token("ana", now=now()),
        "unsigned": unsigned,
        "signed with the public key as a password": jwt.encode(claims, "k" * 64, algorithm="HS256", headers=kid),
        "tampered with": f"{header}.{body[:-4]}AAAA.{signature}",
        "without signature": f"{header}.{body}.",
        "no token": "nonsense",
        "empty": "",
        "too long": "x" * 20_000,
        "not ASCII": "\u00fc.\u00fc.\u00fc",
    }


async def test_no_bad_token_is_accepted(town: World) -> None:
    for fault, token in bad_tokens(town).items():
        async with raw_socket(town) as line:
            with in_our_own_words(line):
                await line.authenticate(token)
                await line.add(0, "users:getCurrentUserCredits", {})
                await line.mutate(0, "users:ensureUser", {})
                told = await line.receive()
                assert (told["type"], told["baseVersion"], told["authUpdateAttempted"]) == ("AuthError", 0, True), fault
                assert not token or token not in told["error"]


async def test_a_token_that_runs_out_is_refused_when_it_is_used(town: World, meet: Meet) -> None:
    async with meet("clock") as clock, raw_socket(town) as line:
        assert clock.subject is not None
        await clock.mutation("users:ensureUser")
        screen = await clock.watch("users:getCurrentUserCredits")
        brief = signed(town, issuer_of(town), clock.subject, -3.0)  # some leeway is granted to clocks
        await line.authenticate(brief)
        await line.mutate(0, "users:ensureUser", {})
        assert (await line.receive("MutationResponse"))["success"] is True
        await end_trial_in(town, clock.subject, seconds_left=3.0)
        await screen.until(lambda value: not value["hasFreeTrial"])  # so this much time has passed
        await line.mutate(1, "users:ensureUser", {})
        told = await line.receive("AuthError")
        assert (told["authUpdateAttempted"], told["baseVersion"]) == (False, 1)
        assert '"requestId":1' not in str(line.received)


@pytest.mark.parametrize("version", ["latest", "1", "1.2", "1.2.3.4", "-1.0.0", "1.2.x", "99999.0.0", "1.0.0 "])
async def test_a_version_must_be_one(town: World, version: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with raw_socket(town, f"/api/{version.replace(' ', '%20')}/sync"):
            pass
    assert refused.value.response.status_code == 400
    assert json.loads(refused.value.response.body)["code"] == "InvalidClientVersion"


@pytest.mark.parametrize(
    "path", ["/api/sync", "/api/1.48.0/sync", "//api/1.48.0/sync", "/api//1.48.0///sync", "/api/2.0.0-beta.1/sync"]
)
async def test_every_spelling_of_the_address_works(town: World, path: str) -> None:
    async with raw_socket(town, path) as line:
        await line.add(0, WALL, paged())
        shown = await line.receive("Transition")
        assert shown["modifications"][0]["type"] == "QueryUpdated"


async def test_only_allowed_pages_may_connect(mongod_uri: str) -> None:
    async with open_world(mongod_uri, ALLOWED_ORIGINS="https://anime.example, https://two.example") as strict:
        for origin in (None, "https://anime.example", "https://two.example", strict.url):
            async with raw_socket(strict, origin=origin) as line:
                await line.add(0, WALL, paged())
                await line.receive("Transition")
        for origin in ("https://evil.example", "http://anime.example", "https://anime.example.evil.example", "null"):
            with pytest.raises(InvalidStatus) as refused:
                async with raw_socket(strict, origin=origin):
                    pass
            assert refused.value.response.status_code == 403
            assert json.loads(refused.value.response.body)["code"] == "OriginNotAllowed"
