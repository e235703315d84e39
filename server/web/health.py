"""Is the process up, can it serve, what does it count: `/healthz`, `/readyz`, `/metrics`, `/version`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from schema.values import Millis
from server.web.exposition import CONTENT_TYPE, exposition
from subscriptions.histogram import Histogram

VERSION = "0.1.0"

Trouble: TypeAlias = Literal["feed", "ledger"]
"""Changes do not arrive here; the last audit of the ledger has failed, which is so everywhere."""


class Gauges(Protocol):
    """What a process can say of itself."""

    def feed_age(self) -> Millis:
        """How long ago the log's position moved."""
        ...

    def troubles(self) -> Sequence[Trouble]:
        """Why nobody should be sent here; nothing when all is well."""
        ...

    def is_draining(self) -> bool:
        """Is the process about to stop?"""
        ...

    async def metrics(self) -> Mapping[str, float | Histogram]:
        """Numbers by name."""
        ...


def health_routes(gauges: Gauges) -> list[Route]:
    """The routes for operators and load balancers."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        if gauges.is_draining():
            return JSONResponse({"ready": False, "draining": True}, 503)
        troubles = gauges.troubles()
        told = {"ready": not troubles, "troubles": troubles, "feedAgeMs": gauges.feed_age()}
        return JSONResponse(told, 503 if troubles else 200)

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(exposition(await gauges.metrics()), media_type=CONTENT_TYPE)

    async def version(_: Request) -> Response:
        return JSONResponse({"name": "anime-leak", "version": VERSION})

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        Route("/version", version),
    ]
