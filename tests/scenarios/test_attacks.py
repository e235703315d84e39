"""What members and administrators could try with what they may send: operators, names, ids. See docs/security.md."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from itertools import count

import httpx
import msgspec
import pytest

from schema.images import Image
from server.functions import published
from server.ids import ALPHABET, CAPABILITY_BITS, capability_id
from server.registry import Function
from tests.scenarios.stock import give, one, put, result_of
from tests.scenarios.test_authorisation import TABLE
from tests.support.http import http_client
from tests.support.live import DEADLINE_S, Value, world_client
from tests.support.pictures import jpeg
from tests.support.raw import raw_socket
from tests.support.world import World, open_world

VICTIM = "victim"
REFUSALS = {"VALIDATION", "NOT_FOUND", "FORBIDDEN", "CONFLICT", "MODERATED", "INSUFFICIENT_CREDITS"}
DEPTH = 60
CALLS_EACH = 5

OPERATORS: dict[str, Value] = {
    "not equal": {"$ne": None},
    "greater": {"$gt": ""},
    "in": {"$in": ["a", "b"]},
    "pattern": {"$regex": ".*"},
    "code": {"$where": "sleep(10000) || true"},
    "expression": {"$expr": {"$function": {"body": "1", "args": [], "lang": "js"}}},
    "prototype": {"__proto__": {"isAdmin": True}},
    "constructor": {"constructor": {"prototype": {}}},
    "a list": ["a"],
    "a list of operators": [{"$ne": None}],
    "depth": json.loads('{"a":' * DEPTH + "1" + "}" * DEPTH),
}
WORDS = ("$where", "$userId", "__proto__", "'; return true; //", "../images", "\u0000", "\u202e", "%00", "*")
"""Good as texts, and nothing more than that."""

_names = count()


@pytest.fixture(scope="module")
async def place(mongod_uri: str) -> AsyncIterator[World]:
    """A product in which administrators do as they please."""
    async with open_world(mongod_uri) as opened:
        yield opened


class Attacker:
    """Somebody new every few tries, so that no limit on calls keeps an attack from being made."""

    def __init__(self, http: httpx.AsyncClient, role: str) -> None:
        self._http, self.role = http, role
        self._token, self._calls = "", 0

    async def call(self, function: Function, args: Value) -> Value:
        if not self._token or (function.rate is not None and self._calls % CALLS_EACH == 0):
            somebody = {"subject": f"{self.role}-{next(_names)}", "admin": self.role == "admin"}
            self._token = (await self._http.post("/dev/token", json=somebody)).raise_for_status().json()["token"]
        self._calls += 1
        reply = await self._http.post(
            f"/api/{function.kind}",
            content=json.dumps({"path": function.path, "args": args}),
            headers={"Authorization": f"Bearer {self._token}"},
        )
        assert reply.status_code == 200, reply.text
        assert "Server Error" not in reply.text
        return reply.json()


@pytest.fixture(params=["member", "admin"])
async def attacker(place: World, request: pytest.FixtureRequest) -> AsyncIterator[Attacker]:
    async with http_client(base_url=place.url, timeout=DEADLINE_S) as http:
        yield Attacker(http, request.param)


def places(arguments: type[msgspec.Struct], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every argument, and every field of those that have fields."""
    for field in msgspec.structs.fields(arguments):
        here = (*before, field.encode_name)
        yield here
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from places(field.type, here)


def with_at(args: Value, path: tuple[str, ...], value: Value) -> Value:
    """The arguments with another value in one place."""
    name, *rest = path
    return {**args, name: with_at(args.get(name, {}), tuple(rest), value) if rest else value}


async def good_arguments(world: World, path: str) -> tuple[Value, str]:
    """Arguments that are right in form, about a picture of somebody else's; the picture's id."""
    await give(world, VICTIM, 10)
    (picture,) = await put(world, result_of(VICTIM, 1.0, sharing_enabled=False))
    args, _ = TABLE[path]
    return ({**args, "imageId": picture.id} if "imageId" in args else args), picture.id


WITH_ARGUMENTS = [each.path for each in published() if each.arguments.__struct_fields__]


@pytest.mark.parametrize("path", WITH_ARGUMENTS)
async def test_an_operator_is_no_argument_of_anything(place: World, attacker: Attacker, path: str) -> None:
    function = published().find(path)
    assert function is not None
    args, picture_id = await good_arguments(place, path)
    before = await one(place, Image, picture_id)
    for where in places(function.arguments):
        for name, operator in OPERATORS.items():
            answer = await attacker.call(function, with_at(args, where, operator))
            assert answer["status"] == "error", (where, name, answer)
            assert answer["errorData"]["code"] == "VALIDATION", (where, name, answer)
            assert answer["errorData"]["field"].startswith(where[0])
    assert await one(place, Image, picture_id) == before


@pytest.mark.parametrize("path", WITH_ARGUMENTS)
async def test_a_word_is_only_a_word(place: World, attacker: Attacker, path: str) -> None:
    function = published().find(path)
    assert function is not None
    args, picture_id = await good_arguments(place, path)
    for where in places(function.arguments):
        for word in WORDS:
            answer = await attacker.call(function, with_at(args, where, word))
            if answer["status"] == "error":
                data = answer.get("errorData", {})
                assert data.get("code") in REFUSALS or data.get("paginationError") == "InvalidCursor", (where, answer)
            elif attacker.role == "member":
                assert picture_id not in str(answer)
                assert VICTIM not in str(answer)


@pytest.mark.parametrize("path", [each.path for each in published()])
async def test_nothing_comes_beside_the_arguments(place: World, attacker: Attacker, path: str) -> None:
    function = published().find(path)
    assert function is not None
    args, _ = await good_arguments(place, path)
    for name in ("$where", "$or", "__proto__", "userId ", "_id", "ctx", "me", "admin", ""):
        answer = await attacker.call(function, {**args, name: {"$ne": None}})
        assert answer["status"] == "error", (name, answer)
        assert answer["errorData"] == {
            "code": "VALIDATION",
            "field": name or "arguments",
            "message": answer["errorData"]["message"],
        }


# --- names of functions ----------------------------------------------------------------------------------------------

TRICKS = (
    "images:../users", "../images:getImageById", "images/../admin:getOverview", "./images:getImageById",
    "/images:getImageById", "images/:getImageById", "images\\..\\admin:getOverview", "..", ".", "", ":", "images:", ":x",
    "__proto__", "__proto__:__proto__", "constructor:prototype", "images:__class__", "images:__init__", "images:__globals__",
    "images:get_image_by_id", "images:Image", "images:published", "server.functions.images:deleteImage", "images.deleteImage",
    "images:deleteImage.__func__", "images:deleteImage()", "images::deleteImage", "images:deleteImage:", "IMAGES:deleteImage",
    "images:DELETEIMAGE", "_system/frontend/tableData:list", "_system:x", "_internal:generateImage", "internal.images:x",
    "images:generateImage", "images:saveGeneratedImage", "images:updateImageStatus", "images:maybeRetryOnce",
    "images:refundCreditsForFailedGeneration", "images:getImageUserForRefund", "payments:processPaidOrder",
    "users:upsertFromClerkWebhook", "erase_member", "generate_image", "images:getImageById\u0000", "\u0000", "images:\u0000",
    "images:getImageById\n", " images:getImageById", "images:getImageById ", "images:getImageById\r\nX-Admin: 1",
    "\u0456mages:getImageById", "images\uff1agetImageById", "images:getImageById\u200b", "\u202eimages:getImageById",
    "images:getImageBy\u0131d", "ima\u0301ges:getImageById", "x" * 10_000, "a/" * 5_000 + "b:c", "images:" + "x" * 10_000,
    "images:%67etImageById", "images%3AgetImageById", "images:getImageById?x", "images:getImageById#x", "$where:$ne",
)  # fmt: skip


async def test_no_spelling_reaches_what_is_not_published(place: World, caplog: pytest.LogCaptureFixture) -> None:
    reachable = {each.path for each in published()}
    async with http_client(base_url=place.url, timeout=DEADLINE_S) as http:
        token = await place.token("an admin", admin=True)
        for path in TRICKS:
            assert path not in reachable
            for route in ("query", "mutation", "action"):
                body = json.dumps({"path": path, "args": {}})
                reply = await http.post(f"/api/{route}", content=body, headers={"Authorization": f"Bearer {token}"})
                told = reply.json()
                if reply.status_code == 200:
                    assert told["status"] == "error", path
                    assert told["errorMessage"].startswith("Could not find public function for '"), path
                    assert "errorData" not in told
                else:
                    assert (reply.status_code, told["code"]) == (400, "BadRequest"), path
                assert len(reply.text) < 1_500
            async with raw_socket(place) as line:
                await line.authenticate(token)
                await line.mutate(0, path, {})
                told = await line.receive()
                while told["type"] == "Transition":
                    told = await line.receive()
                assert told["type"] == "FatalError" or told["success"] is False, path
    assert [each.getMessage() for each in caplog.records if each.levelname == "ERROR"] == []


# --- ids of files ----------------------------------------------------------------------------------------------------


async def test_files_cannot_be_found_by_trying(place: World) -> None:
    async with world_client(place, "photographer") as ana, world_client(place, "stranger") as ben:
        storage_id = await ana.upload(jpeg())
        image_id = await ana.mutation("images:uploadAndScheduleGeneration", storageId=storage_id)
        await ana.mutation("images:updateShareSettings", imageId=image_id, sharingEnabled=False)
        assert len(storage_id) * 5 == CAPABILITY_BITS >= 128
        own = (await ana.query_once("images:getImageById", imageId=image_id))["url"]
        assert (await ben.http.get(own)).status_code == 200  # its address is the permission
        key = httpx.URL(own).params["key"]
        address = f"{place.url}/api/storage"
        neighbours = [_changed(storage_id, at) for at in range(len(storage_id))]
        tries = [f"{each}?key={key}" for each in neighbours] + [
            storage_id, f"{storage_id}?key=", f"{storage_id}?key={key[:-1]}", f"{storage_id}?key={key}A",
            f"{storage_id}?key={key[::-1]}", f"{storage_id}?KEY={key}", capability_id(), f"{capability_id()}?key={key}",
        ]  # fmt: skip
        told = set()
        for each in tries:
            for headers in ({}, {"Range": "bytes=0-9"}, {"If-None-Match": "*"}):
                reply = await ben.http.get(f"{address}/{each}", headers=headers)
                shown = sorted(name for name in reply.headers if name != "date")
                told.add((reply.status_code, reply.text, tuple(shown)))
        assert len(told) == 1, told
        ((status, text, _),) = told
        assert (status, json.loads(text)["code"]) == (404, "FileNotFound")
        assert storage_id not in text


def _changed(text: str, at: int) -> str:
    other = ALPHABET[(ALPHABET.index(text[at]) + 1) % len(ALPHABET)]
    return text[:at] + other + text[at + 1 :]
