"""The page: its views, its files, its settings, and what is said while it is not built.

Invariant: every view begins with the same document, under a policy in which only this server's files run.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.config import Settings
from server.web.bundle import DIST, INDEX, Built, Bundle, read_bundle
from server.web.calls import error_response
from server.web.health import VERSION
from server.web.notice import notice_page
from server.web.policy import HEADERS, policy_for
from server.web.ranges import has_it

VIEWS = ("/", "/gallery", "/credits", "/admin", "/admin/{rest:path}")
"""Addresses that the page itself knows. `/share/{id}` has a document of its own (`share.py`)."""
NOT_VIEWS = ("/api", "/assets", "/dev", "/polar", "/webhooks")
YEAR_S = 31_536_000
HOUR_S = 3_600
NO_BUILD = "This server was started without its page. Whoever runs it builds it with: python -m server page"


class PageSettings(msgspec.Struct, frozen=True, rename="camel"):
    """What the page has to know before it can do anything."""

    clerk_publishable_key: str | None
    is_development: bool
    version: str


class Site:
    """The page as this process serves it. A build that is made beside it tells it how it is going."""

    __slots__ = ("_bundle", "_folder", "_headers", "_is_building", "_notice", "_settings", "public_url")

    def __init__(self, settings: Settings, folder: Path = DIST) -> None:
        self._folder, self._bundle = folder, read_bundle(folder)
        self._notice, self._is_building = NO_BUILD, False
        self._settings = PageSettings(settings.clerk_publishable_key, settings.is_development, VERSION)
        self.public_url = settings.public_url
        policy = policy_for(settings.public_url, settings.clerk_domain)
        self._headers = {**HEADERS, "Content-Security-Policy": policy}

    def __repr__(self) -> str:
        return f"<Site {'being built' if self._is_building else 'built' if self._bundle else 'not built'}>"

    def building(self) -> None:
        """From here on the page is being built, and says so by itself."""
        self._is_building = True

    def built(self) -> None:
        """The build is there."""
        self._is_building, self._bundle = False, read_bundle(self._folder)

    def failed(self, why: str) -> None:
        """There will be no new build; an older one serves as long."""
        self._is_building, self._notice = False, why

    def routes(self) -> list[BaseRoute]:
        """What to mount. Everything else that the build made is found by `lost`."""
        views: list[BaseRoute] = [Route(path, self._view) for path in VIEWS]
        return [*views, Route("/config.json", self._config), Route("/assets/{path:path}", self._asset)]

    async def lost(self, request: Request, _: Exception) -> Response:
        """What no route takes: a file beside the index, the page saying that there is nothing, or just that."""
        path = request.url.path
        if request.method in ("GET", "HEAD") and not path.startswith(NOT_VIEWS):
            built = self._ready()
            file = built.files.get(path[1:]) if built is not None else None
            if file is not None and path[1:] != INDEX:
                return _file(request, file, f"public, max-age={HOUR_S}")
            if "text/html" in request.headers.get("accept", ""):
                return self.document(request, HTTPStatus.NOT_FOUND)
        return error_response(404, "NotFound", "There is nothing at this address.")

    def document(self, request: Request, status: int = HTTPStatus.OK) -> Response:
        """The document that a view begins with; while there is none, what is said instead."""
        built = self._ready()
        if built is None:
            return notice_page(self._notice, is_building=self._is_building)
        return _file(request, built.index, "no-cache", self._headers, status)

    def index_text(self) -> str | None:
        """The document as text, for whoever writes something into it; None while there is none."""
        built = self._ready()
        return None if built is None else built.index.text

    def written(self, text: str, status: int) -> Response:
        """A document that was written into."""
        headers = {**self._headers, "Cache-Control": "no-cache"}
        return Response(text, status, headers, media_type="text/html")

    def _ready(self) -> Bundle | None:
        if self._bundle is None and not self._is_building:
            self._bundle = read_bundle(self._folder)
        return None if self._is_building else self._bundle

    async def _view(self, request: Request) -> Response:
        return self.document(request)

    async def _config(self, _: Request) -> Response:
        return JSONResponse(msgspec.to_builtins(self._settings), headers={"Cache-Control": "no-store"})

    async def _asset(self, request: Request) -> Response:
        built = self._ready()
        file = built.files.get(f"assets/{request.path_params['path']}") if built is not None else None
        if file is None:
            return error_response(404, "NotFound", "There is nothing at this address.")
        return _file(request, file, f"public, max-age={YEAR_S}, immutable")


def _file(
    request: Request, file: Built, cached: str, more: Mapping[str, str] | None = None, status: int = HTTPStatus.OK
) -> Response:
    """A file in the encoding that serves this request, or the word that it is there already."""
    encoding = file.best(request.headers.get("accept-encoding"))
    etag = f'"{file.digest}-{encoding}"'
    headers = {"ETag": etag, "Cache-Control": cached, "Vary": "Accept-Encoding", **(more or {})}
    if status == HTTPStatus.OK and has_it(request.headers.get("if-none-match"), etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if encoding != "identity":
        headers["Content-Encoding"] = encoding
    return Response(file.bodies[encoding], status, {**headers, "Content-Type": file.media_type})


class SafeHeaders:
    """Adds to every response what every response should carry."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                if not any(name == b"x-content-type-options" for name, _ in headers):
                    headers.append((b"x-content-type-options", b"nosniff"))
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
