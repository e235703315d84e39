"""A stand-in for Gemini that speaks its REST API over real HTTP on a local port, and misbehaves on request.

Invariant: it answers each call with the next scenario it was told, else with the one named by the model
(`models/told-503:generateContent`), else with a picture; and it keeps every call it understood.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.support import pictures

FIXTURES = Path(__file__).parents[1] / "fixtures" / "gemini"
PATIENCE_S = 20.0
DRIP_S = 0.02
CHUNK_BYTES = 256 << 10
MODEL: Final = "gemini-stand-in"

Json: TypeAlias = Any
Scenario: TypeAlias = Callable[["GeminiSite", Request], Response]


class Call(NamedTuple):
    """What a client asked for."""

    model: str
    key: str
    mime_type: str
    photo: bytes
    words: str
    body: Json


class GeminiSite:
    """One running stand-in. `picture` is what it draws, `draft` what it only thinks of."""

    def __init__(self) -> None:
        self.url = ""
        self.picture, self.draft = pictures.png(96, 64), pictures.png(32, 32, mode="L")
        self.calls: list[Call] = []
        self._script: deque[Scenario] = deque()
        self._asked = asyncio.Event()
        self.released = asyncio.Event()
        """What stalls goes on when this is set."""

    def __repr__(self) -> str:
        return f"<GeminiSite {self.url}, {len(self.calls)} calls, {len(self._script)} scenarios to come>"

    def will(self, *scenarios: Scenario) -> None:
        """Answer the next calls so."""
        self._script.extend(scenarios)

    def clear(self) -> None:
        """As at first."""
        self.calls.clear()
        self._script.clear()
        self._asked.clear()
        self.released.clear()

    async def asked(self) -> None:
        """Wait for a call."""
        async with asyncio.timeout(PATIENCE_S):
            await self._asked.wait()

    async def generate(self, request: Request) -> Response:
        """One call of `generateContent`; what the real API would not understand is refused like there."""
        model, _, verb = request.path_params["call"].partition(":")
        try:
            call = understood(model, request.headers.get("x-goog-api-key", ""), json.loads(await request.body()))
        except (LookupError, TypeError, ValueError) as error:
            return JSONResponse(wrong(400, "INVALID_ARGUMENT", f"Invalid JSON payload received: {error!r}"), 400)
        if verb != "generateContent":
            return JSONResponse(wrong(404, "NOT_FOUND", f"No method {verb}."), 404)
        self.calls.append(call)
        self._asked.set()
        scenario = self._script.popleft() if self._script else NAMED.get(model, told("success.200"))
        return scenario(self, request)


def understood(model: str, key: str, body: Json) -> Call:
    """A request in either spelling (`inlineData`, `inline_data`) and either base64 alphabet."""
    blob: Json = None
    words: list[str] = []
    for part in body["contents"][0]["parts"]:
        blob = part.get("inlineData") or part.get("inline_data") or blob
        words += [part["text"]] if "text" in part else []
    text = blob["data"].replace("-", "+").replace("_", "/")
    photo = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    return Call(model, key, blob.get("mimeType") or blob["mime_type"], photo, "\n".join(words), body)


def wrong(code: int, status: str, message: str, *details: Json) -> Json:
    """An error as Google words it."""
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


# --- scenarios -------------------------------------------------------------------------------------------------------


def told(name: str) -> Scenario:
    """A recorded payload, `success.200` or `error.503`, with this site's pictures in it."""
    body = json.loads((FIXTURES / f"{name}.json").read_text())
    code = body["error"]["code"] if "error" in body else 200
    return lambda site, _: JSONResponse(illustrated(site, body), code)


def finished(reason: str | None, *, with_picture: bool = False) -> Scenario:
    """An answer that ended for this reason."""
    body = json.loads((FIXTURES / ("success.200.json" if with_picture else "finish_no_image.200.json")).read_text())
    body["candidates"][0]["finishReason"] = reason
    return lambda site, _: JSONResponse(illustrated(site, body))


def blocked(reason: str) -> Scenario:
    """A prompt that was blocked for this reason."""
    return says(json.dumps({"promptFeedback": {"blockReason": reason}}))


def says(body: str | bytes, status: int = 200, content_type: str = "application/json", **headers: str) -> Scenario:
    """Exactly these words."""
    return lambda *_: Response(
        body, status, {name.replace("_", "-"): each for name, each in headers.items()}, content_type
    )


def draws(data: str | bytes, mime_type: str = "image/png") -> Scenario:
    """A picture of these bytes, or of this text where base64 is expected."""
    text = data if isinstance(data, str) else base64.b64encode(data).decode()
    parts = [{"inlineData": {"mimeType": mime_type, "data": text}}]
    return says(json.dumps({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}))


def stalls(site: GeminiSite, _: Request) -> Response:
    """Says nothing until the site is released, then draws."""

    async def body() -> AsyncIterator[bytes]:
        await site.released.wait()
        yield _success(site)

    return StreamingResponse(body(), media_type="application/json")


def drips(site: GeminiSite, _: Request) -> Response:
    """A blank now and then: every wait is short, and the answer never ends."""

    async def body() -> AsyncIterator[bytes]:
        while not site.released.is_set():
            yield b" "
            await asyncio.sleep(DRIP_S)

    return StreamingResponse(body(), media_type="application/json")


def floods(size: int) -> Scenario:
    """A picture after very many blanks, of a length not told beforehand."""

    def scenario(site: GeminiSite, _: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            for _ in range(0, size, CHUNK_BYTES):
                yield b" " * CHUNK_BYTES
            yield _success(site)

        return StreamingResponse(body(), media_type="application/json")

    return scenario


def resets(_: GeminiSite, request: Request) -> Response:
    """The connection is reset instead of an answer."""
    return _Abrupt(request.scope["hang_up"], b"", reset=True)


def cuts(_: GeminiSite, request: Request) -> Response:
    """The connection ends in the middle of the answer."""
    return _Abrupt(request.scope["hang_up"], b'{"candidates": [{"content"', reset=False)


def resets_midway(_: GeminiSite, request: Request) -> Response:
    """The connection is reset in the middle of the answer."""
    return _Abrupt(request.scope["hang_up"], b'{"candidates": [{"content"', reset=True)


NAMED: Final[dict[str, Scenario]] = {
    "told-refusal": told("finish_image_safety.200"),
    "told-503": told("error.503"),
    "told-429": told("error.429"),
    "told-403": told("error.403"),
    "stalls": stalls,
    "resets": resets,
}
"""For a whole product whose calls nobody scripts: `GEMINI_MODEL` is the scenario."""


def illustrated(site: GeminiSite, body: Json) -> Json:
    """A payload with this site's pictures instead of the recorded ones."""
    body = copy.deepcopy(body)
    for candidate in body.get("candidates", ()):
        for part in candidate.get("content", {}).get("parts", ()):
            if "inlineData" in part:
                drawn = site.draft if part.get("thought") else site.picture
                part["inlineData"]["data"] = base64.b64encode(drawn).decode()
    return body


def _success(site: GeminiSite) -> bytes:
    return json.dumps(illustrated(site, json.loads((FIXTURES / "success.200.json").read_text()))).encode()


class _Abrupt(Response):
    def __init__(self, hang_up: Callable[[bool], None], beginning: bytes, *, reset: bool) -> None:
        super().__init__()
        self._hang_up, self._beginning, self._reset = hang_up, beginning, reset

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._beginning:
            headers = [(b"content-type", b"application/json"), (b"content-length", b"1000000")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": self._beginning, "more_body": True})
        self._hang_up(self._reset)


def _hanging_up(send: Any) -> Callable[[bool], None]:
    """How to end the connection beneath a response: uvicorn gives no other way to be rude than its own transport."""
    transport = send.__self__.transport

    def hang_up(reset: bool) -> None:
        if reset:
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()

    return hang_up


@asynccontextmanager
async def gemini_site() -> AsyncIterator[GeminiSite]:
    """A running stand-in; its `url` is what `GEMINI_BASE_URL` should be."""
    site = GeminiSite()
    routes = Starlette(routes=[Route("/v1beta/models/{call}", site.generate, methods=["POST"])])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["hang_up"] = _hanging_up(send)
        await routes(scope, receive, send)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        site.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=1))
        running = asyncio.create_task(server.serve(sockets=[listener]), name="gemini stand-in")
        try:
            yield site
        finally:
            site.released.set()
            server.should_exit = True
            await running
