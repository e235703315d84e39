"""The story of callers without a socket: functions by POST, errors that both HTTP clients can read, and what operators see."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from server.web.calls import MAX_BODY_BYTES
from tests.scenarios.conftest import Meet
from tests.scenarios.stock import ids, paged, put, result_of
from tests.support.http import http_client
from tests.support.live import DEADLINE_S, Value
from tests.support.world import World, open_world

CREDITS = "users:getCurrentUserCredits"
PAGE_ORIGIN = "https://anime.example"
FORMAT = {"format": "convex_encoded_json"}
TIMESTAMP = re.compile(r"^[A-Za-z0-9+/]{11}=$")


@pytest.fixture(scope="module")
async def http(town: World) -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(base_url=town.url, timeout=DEADLINE_S) as client:
        yield client


async def call(http: httpx.AsyncClient, route: str, path: str, args: Value, token: str = "", **more: Value) -> Value:
    """A call that reaches a function: always status 200."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    reply = await http.post(f"/api/{route}", json={"path": path, "args": args, **FORMAT, **more}, headers=headers)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/json"
    return reply.json()


def refusal(reply: httpx.Response) -> tuple[int, str]:
    """The status and code of an answer that reached no function."""
    content = reply.json()
    assert set(content) == {"code", "message"}
    assert content["message"].endswith(".")
    return reply.status_code, content["code"]


async def test_queries_and_mutations_and_who_sees_them(http: httpx.AsyncClient, meet: Meet, town: World) -> None:
    async with meet("ana") as ana:
        screen = await ana.watch(CREDITS)
        token = await town.token(str(ana.subject))
        spellings: tuple[Value, ...] = ({}, [{}], [])
        for args in spellings:
            asked = await call(http, "query", CREDITS, args, token)
            assert asked == {"status": "success", "value": {"credits": 0.0, "hasFreeTrial": True}}
        done = await call(http, "mutation", "users.js:ensureUser", [{}], token)
        assert done == {"status": "success", "value": None}
        await screen.until(lambda value: value["credits"] == 10)
        after = await http.post(
            "/api/query",
            content=json.dumps({"path": CREDITS, "args": {}}),
            headers={"Authorization": f"Bearer {token}"},
        )
        assert '"credits":10.0' in after.text  # one client refuses whole numbers without a point


async def test_a_query_at_a_moment_sees_that_moment(http: httpx.AsyncClient, meet: Meet, town: World) -> None:
    async with meet("ana") as ana:
        token = await town.token(str(ana.subject))
        before = (await http.post("/api/query_ts")).json()["ts"]
        assert TIMESTAMP.match(before)
        (picture,) = await put(town, result_of(ana.subject, 1.0))
        gallery = "images:getGalleryImagesPaginated"
        then = await call(http, "query_at_ts", gallery, paged(), token, ts=before)
        assert ids(then["value"]) == []
        after = (await http.post("/api/query_ts", json={})).json()["ts"]
        now = await call(http, "query_at_ts", gallery, paged(), token, ts=after)
        assert ids(now["value"]) == [picture.id]
        long_ago = await call(http, "query_at_ts", gallery, paged(), token, ts="AQAAAAAAAAA=")
        assert ids(long_ago["value"]) == [picture.id]
        for nonsense in ("x", "", "AAAAAAAAAAAAAAAA", "/////////38=/"):
            reply = await http.post("/api/query_at_ts", json={"path": CREDITS, "args": {}, "ts": nonsense})
            assert refusal(reply) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("route", "path"),
    [("query", "images:generateImage"), ("mutation", CREDITS), ("action", "users:ensureUser"), ("query", "x")],
)
async def test_an_unknown_function_is_a_plain_error(http: httpx.AsyncClient, route: str, path: str) -> None:
    answer = await call(http, route, path, {})
    named = path if ":" in path else f"{path}:default"
    assert answer == {"status": "error", "errorMessage": f"Could not find public function for '{named}'"}


async def test_a_refusal_has_its_code_and_words(http: httpx.AsyncClient, town: World) -> None:
    message = "Please sign in first."
    for route, path in (("query", CREDITS), ("mutation", "users:ensureUser")):
        assert await call(http, route, path, {}) == {
            "status": "error",
            "errorMessage": f"UNAUTHENTICATED: {message}",
            "errorData": {"code": "UNAUTHENTICATED", "message": message},
        }
    wrong = await call(http, "mutation", "users:ensureUser", {"x": 1}, await town.token("someone"))
    assert (wrong["status"], wrong["errorData"]["code"], wrong["errorData"]["field"]) == ("error", "VALIDATION", "x")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"args":{}}',
        b'{"path":7,"args":{}}',
        b'{"path":"a:b","args":7}',
        b'{"path":"a:b","args":null}',
        b'{"path":"a:b","args":[{},{}]}',
        b'{"path":"a:b","args":[[]]}',
        b'{"path":"a:b","args":{"x":}}',
        b'{"path":"../a:b","args":{}}',
        b'{"path":"","args":{}}',
        b'{"path":"users:ensureUser","args":{"x":"\\ud800"}}',
        b"[" * 100_000,
        b'{"path":"users:ensureUser","args":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}",
    ],
    ids=lambda body: str(body[:40]),
)
async def test_a_body_that_is_no_call(http: httpx.AsyncClient, body: bytes) -> None:
    for route in ("query", "mutation", "action", "query_at_ts"):
        assert refusal(await http.post(f"/api/{route}", content=body)) == (400, "BadRequest")


@pytest.mark.parametrize("depth", [65, 300, 500, 900])
async def test_deeply_nested_arguments_are_refused_in_words(http: httpx.AsyncClient, town: World, depth: int) -> None:
    args = '{"a":' * depth + "1" + "}" * depth
    body = f'{{"path":"users:ensureUser","args":{args}}}'
    headers = {"Authorization": f"Bearer {await town.token('someone')}"}
    reply = await http.post("/api/mutation", content=body, headers=headers)
    assert "Server Error" not in reply.text


async def test_an_unknown_format_is_named(http: httpx.AsyncClient) -> None:
    body = {"path": CREDITS, "args": {}, "format": "xml"}
    assert refusal(await http.post("/api/query", json=body)) == (400, "BadFormat")


async def test_too_large_a_body(http: httpx.AsyncClient) -> None:
    body = b'{"path":"users:ensureUser","args":{"x":"' + b"x" * MAX_BODY_BYTES + b'"}}'
    assert refusal(await http.post("/api/mutation", content=body)) == (413, "RequestTooLarge")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 65_536 + 2):
            yield bytes(65_536)

    assert refusal(await http.post("/api/mutation", content=endless())) == (413, "RequestTooLarge")


@pytest.mark.parametrize(
    "header", ["Bearer nonsense", "Bearer", "Basic YTpi", "nonsense", "", "Convex key", "Bearer a.b.c"]
)
async def test_a_token_that_proves_nothing(http: httpx.AsyncClient, header: str) -> None:
    for route in ("query", "mutation", "action"):
        body = {"path": "images:getPublicGallery", "args": paged()}
        reply = await http.post(f"/api/{route}", json=body, headers={"Authorization": header})
        assert refusal(reply) == (401, "Unauthenticated")


async def test_other_addresses_and_methods(http: httpx.AsyncClient) -> None:
    for address in (
        "/nothing",
        "/api/nothing",
        "/api",
        "/assets/nothing.js",
        "/assets/../pyproject.toml",
        "/.git/config",
    ):
        assert refusal(await http.get(address)) == (404, "NotFound"), address
    for method, address in (("PUT", "/api/query"), ("DELETE", "/api/mutation"), ("GET", "/api/action"), ("POST", "/")):
        assert refusal(await http.request(method, address)) == (405, "MethodNotAllowed")
    assert refusal(await http.get("/assets/%2e%2e/pyproject.toml")) == (404, "NotFound")
    assert (await http.post(f"{http.base_url}/api//query_ts")).status_code == 200


async def test_pages_elsewhere_may_call_where_everybody_may(http: httpx.AsyncClient) -> None:
    asked = {
        "Origin": PAGE_ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,authorization,convex-client,digest",
    }
    for route in ("query", "mutation", "action", "query_ts", "storage/upload"):
        preflight = await http.options(f"/api/{route}", headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == PAGE_ORIGIN
        assert preflight.headers["access-control-allow-credentials"] == "true"
        assert preflight.headers["access-control-max-age"] == "86400"
        assert "POST" in preflight.headers["access-control-allow-methods"]
        allowed = preflight.headers["access-control-allow-headers"].replace(" ", "").lower()
        assert {"content-type", "authorization", "convex-client", "digest"} <= set(allowed.split(","))
        assert "Origin" in preflight.headers["vary"]
    for reply in (
        await http.post("/api/query", content=b"{", headers={"Origin": PAGE_ORIGIN}),
        await http.post("/api/query", headers={"Origin": PAGE_ORIGIN, "Authorization": "x"}),
        await http.get("/api/storage/nothing", headers={"Origin": PAGE_ORIGIN}),
        await http.get("/nothing", headers={"Origin": PAGE_ORIGIN}),
    ):
        assert reply.status_code >= 400
        assert reply.headers["access-control-allow-origin"] == PAGE_ORIGIN


async def test_pages_elsewhere_may_not_call_where_they_are_not_named(mongod_uri: str) -> None:
    async with (
        open_world(mongod_uri, ALLOWED_ORIGINS=PAGE_ORIGIN) as strict,
        http_client(base_url=strict.url, timeout=DEADLINE_S) as http,
    ):
        for origin, allowed in ((PAGE_ORIGIN, True), (strict.url, True), ("https://evil.example", False)):
            headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            preflight = await http.options("/api/query", headers=headers)
            assert (preflight.status_code == 200) is allowed
            reply = await http.post("/api/query_ts", headers={"Origin": origin})
            assert reply.headers.get("access-control-allow-origin") == (origin if allowed else None)


async def test_what_operators_see(http: httpx.AsyncClient, meet: Meet) -> None:
    assert (await http.get("/healthz")).status_code == 200
    ready = await http.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert (await http.get("/version")).json().keys() >= {"version"}
    async with meet("ana"):
        metrics = await http.get("/metrics")
        assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
        lines = dict(line.split() for line in metrics.text.splitlines() if not line.startswith("#"))
        assert all(re.fullmatch(r"[a-z_]+(\{.*\})?", name) for name in lines)
        assert float(lines["anime_sockets"]) >= 1
        assert float(lines["anime_feed_age_seconds"]) < 15


async def test_every_answer_forbids_guessing_its_type(http: httpx.AsyncClient) -> None:
    for address in ("/", "/healthz", "/version", "/metrics", "/nothing", "/api/query", "/api/storage/nothing"):
        assert (await http.get(address)).headers["x-content-type-options"] == "nosniff", address
