"""The one application: every route of the product behind one port."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import server_error
from server.ids import request_id
from server.web.calls import error_response
from server.web.origins import Origins
from server.web.page import SafeHeaders
from server.web.socket import SyncEndpoint

Lost = Callable[[Request, Exception], Awaitable[Response]]
PREFLIGHT_LIFETIME_S = 86_400
METHODS = ("GET", "HEAD", "POST", "OPTIONS")

log = logging.getLogger("anime.http")


class PlainPaths:
    """Collapses doubled slashes: a deployment URL that ends with one is a common slip (sync-protocol 1.1)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if "//" in scope.get("path", ""):
            scope = {**scope, "path": re.sub("/{2,}", "/", scope["path"])}
        await self._app(scope, receive, send)


class LastAnswers:
    """Ends each line with its answer once the process is about to stop: no proxy sends its next request down a dead one."""

    def __init__(self, app: ASGIApp, endpoint: SyncEndpoint) -> None:
        self._app, self._endpoint = app, endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and self._endpoint.is_draining:
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        await self._app(scope, receive, sending)


class Unexpected:
    """The innermost wall: what nobody foresaw becomes a request id, with the headers that every response has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            if scope["type"] != "http" or started:
                raise
            number = request_id()
            log.error("request failed", exc_info=error, extra={"action": "http.failed", "request": number})
            await error_response(500, "InternalServerError", server_error(number).message)(scope, receive, send)


def application(endpoint: SyncEndpoint, origins: Origins, routes: Sequence[BaseRoute], lost: Lost) -> Starlette:
    """The ASGI application. `lost` answers what no route takes."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=[] if origins.everyone else sorted(origins.allowed),
        allow_origin_regex=".*" if origins.everyone else None,
        allow_credentials=True,
        allow_methods=METHODS,
        allow_headers=["*"],
        expose_headers=["Accept-Ranges", "Content-Range", "Digest", "ETag", "Retry-After"],
        max_age=PREFLIGHT_LIFETIME_S,
    )
    sockets = [
        WebSocketRoute("/api/sync", endpoint.serve),
        WebSocketRoute("/api/{version}/sync", endpoint.serve),
    ]
    app = Starlette(
        routes=[*sockets, *routes],
        middleware=[
            Middleware(PlainPaths),
            Middleware(LastAnswers, endpoint),
            cors,
            Middleware(SafeHeaders),
            Middleware(Unexpected),
        ],
        exception_handlers={404: lost, 405: _not_allowed},
    )
    app.router.redirect_slashes = False  # such a redirect leads to whatever the Host header names
    return app


async def _not_allowed(_: Request, __: Exception) -> Response:
    return error_response(405, "MethodNotAllowed", "This address does not take requests of this kind.")
