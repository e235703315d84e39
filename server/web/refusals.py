"""Refusals of the file routes: a status, a stable code and a sentence, as JSON (sync-protocol 10.3).

Invariant: a client that is still sending learns why it was refused. Closing under it would reset the connection and
lose the answer, so what it sends is read and thrown away for a while first.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from server.errors import RateLimited

LINGER_S = 10.0
LINGER_BYTES = 256 * 1024**2
RETRY_AFTER_S = 2


class Refused(Exception):
    """This request gets no further, and its sender may know why."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, float | str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}
        self.more = more or {}


def busy(message: str) -> Refused:
    """There is no room now; the same request may succeed in a moment."""
    return Refused(503, "Overloaded", message, {"Retry-After": str(RETRY_AFTER_S)})


def limited(error: RateLimited) -> Refused:
    """Too many of these; both the header and the body say when to come back."""
    wait_s = math.ceil(float(error.more["retryAfterMs"]) / 1_000)
    return Refused(429, error.code, error.message, {"Retry-After": str(wait_s)}, error.more)


def store_away() -> Refused:
    """The database does not answer."""
    return busy("Files cannot be reached right now. Please try again in a moment.")


class RefusalResponse(JSONResponse):
    """A refusal as a response. `unread` says that the client may still be sending its body."""

    def __init__(self, refused: Refused, *, unread: bool = False) -> None:
        self._unread = unread
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **refused.headers}
        if unread:
            headers["Connection"] = "close"
        super().__init__({"code": refused.code, "message": refused.message, **refused.more}, refused.status, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._unread:
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body), "more_body": True})
        await _linger(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _linger(receive: Receive) -> None:
    """Throw away what still arrives, for a limited time and amount."""
    thrown_away = 0
    try:
        async with asyncio.timeout(LINGER_S):
            while thrown_away < LINGER_BYTES:
                message = await receive()
                thrown_away += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return
