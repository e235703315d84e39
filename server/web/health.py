"""Is the process up, can it serve, what does it count: `/healthz`, `/readyz`, `/metrics`, `/version`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from schema.values import Millis, seconds

VERSION = "0.1.0"
MAX_FEED_AGE: Millis = seconds(15)
"""The pulse beats every few seconds; a position that has not moved for this long means that changes do not arrive."""


class Gauges(Protocol):
    """What a process can say of itself."""

    def feed_age(self) -> Millis:
        """How long ago the log's position moved."""
        ...

    def feed_is_open(self) -> bool:
        """Is the change stream being read?"""
        ...

    def is_draining(self) -> bool:
        """Is the process about to stop?"""
        ...

    def metrics(self) -> Mapping[str, float]:
        """Numbers by name."""
        ...


def health_routes(gauges: Gauges) -> list[Route]:
    """The routes for operators and load balancers."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        if gauges.is_draining():
            return JSONResponse({"ready": False, "draining": True}, 503)
        age = gauges.feed_age()
        ready = gauges.feed_is_open() and age <= MAX_FEED_AGE
        return JSONResponse({"ready": ready, "feedAgeMs": age}, 200 if ready else 503)

    async def metrics(_: Request) -> Response:
        lines = [f"{name} {value:.15g}" for name, value in sorted(gauges.metrics().items())]
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")

    async def version(_: Request) -> Response:
        return JSONResponse({"name": "anime-leak", "version": VERSION})

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        Route("/version", version),
    ]
