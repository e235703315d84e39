"""The page of a shared picture: the page itself, with tags from which other sites draw a preview (ogp.me).

Invariant: what is told is what `images:getImageById` tells a visitor. Where it tells nothing, whatever the reason, the
answer is the same: the page with its general tags, and 404.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from http import HTTPStatus

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schema.errors import SnapshotGone, StoreUnavailable
from server.errors import PublicError, RateLimited
from server.executor import Executor
from server.limits import Bounds, Limits, per_minute
from server.store.mongo import MongoStore
from server.web.addresses import address_of
from server.web.page import Site

QUERY = "images:getImageById"
TITLE = "A photo that leaked anime"
DESCRIPTION = "A photo went in, and this came out. Drop in yours and watch the anime leak into it."
ALT = "The picture, drawn in the style of anime"
OWN_TAGS = re.compile(
    r"<title>.*?</title>\s*|<meta\s[^>]*?(?:property|name)=[\"']?(?:og:|twitter:|description\b|robots\b)[^>]*>\s*",
    re.DOTALL | re.IGNORECASE,
)


class Shared(msgspec.Struct, frozen=True, rename="camel"):
    """What the tags need of a picture."""

    url: str
    content_type: str | None = None
    original_width: float | None = None
    original_height: float | None = None


class SharePage:
    """The endpoint of shared pictures."""

    __slots__ = ("_executor", "_limits", "_rate", "_site", "_store")

    def __init__(self, site: Site, executor: Executor, store: MongoStore, limits: Limits, bounds: Bounds) -> None:
        self._site, self._executor, self._store, self._limits = site, executor, store, limits
        self._rate = per_minute(bounds.http_calls_per_minute_per_address)

    def __repr__(self) -> str:
        return f"<SharePage of {self._site!r}>"

    def route(self) -> Route:
        """What to mount."""
        return Route("/share/{image_id}", self._serve)

    async def _serve(self, request: Request) -> Response:
        index = self._site.index_text()
        if index is None:
            return self._site.document(request)
        image_id = request.path_params["image_id"]
        try:
            await self._limits.spend("HTTP calls", address_of(request), self._rate)
            shared = await self._find(image_id)
        except RateLimited:
            return self._site.document(request, HTTPStatus.TOO_MANY_REQUESTS)
        except (StoreUnavailable, SnapshotGone):
            return self._site.document(request, HTTPStatus.SERVICE_UNAVAILABLE)
        if shared is None:
            return self._site.document(request, HTTPStatus.NOT_FOUND)
        tags = share_tags(shared, f"{self._site.public_url}/share/{image_id}")
        return self._site.written(with_tags(index, tags), HTTPStatus.OK)

    async def _find(self, image_id: str) -> Shared | None:
        arguments = msgspec.json.encode({"imageId": image_id})
        told = await self._executor.query(QUERY, arguments, None, await self._store.newest())
        return None if isinstance(told, PublicError) else msgspec.json.decode(told, type=Shared | None)


def share_tags(shared: Shared, address: str) -> str:
    """The head's tags for a picture, as HTML."""
    return "".join(f"{tag}\n" for tag in _tags(shared, address))


def _tags(shared: Shared, address: str) -> Iterator[str]:
    yield f"<title>{escape(TITLE)} · Anime Leak</title>"
    yield _meta("name", "description", DESCRIPTION)
    yield _meta("name", "robots", "noindex")  # a link that was given to somebody is not for everybody
    told = {
        "og:site_name": "Anime Leak",
        "og:type": "website",
        "og:title": TITLE,
        "og:description": DESCRIPTION,
        "og:url": address,
        "og:image": shared.url,
        "og:image:alt": ALT,
    }
    if shared.content_type is not None:
        told["og:image:type"] = shared.content_type
    if shared.original_width is not None and shared.original_height is not None:
        told |= {"og:image:width": f"{shared.original_width:.0f}", "og:image:height": f"{shared.original_height:.0f}"}
    for name, content in told.items():
        yield _meta("property", name, content)
    for name, content in (
        ("twitter:card", "summary_large_image"),
        ("twitter:title", TITLE),
        ("twitter:description", DESCRIPTION),
        ("twitter:image", shared.url),
    ):
        yield _meta("name", name, content)


def _meta(kind: str, name: str, content: str) -> str:
    return f'<meta {kind}="{name}" content="{escape(content)}">'


def with_tags(index: str, tags: str) -> str:
    """The document with these tags in place of its own."""
    head, end, body = index.partition("</head>")
    return f"{OWN_TAGS.sub('', head)}{tags}{end}{body}"
