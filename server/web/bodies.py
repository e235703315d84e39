"""Request bodies, read with a bound."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

BODY_DEADLINE_S = 30.0


class BodyTooLarge(Exception):
    """The body is larger than its route takes."""


class BodyTooSlow(Exception):
    """The body did not arrive in time, or its sender has left."""


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, never more than `limit` bytes of it in memory. Raises `BodyTooLarge`, `BodyTooSlow`."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            async for piece in request.stream():
                body += piece
                if len(body) > limit:
                    raise BodyTooLarge
    except (TimeoutError, ClientDisconnect):
        raise BodyTooSlow from None
    return bytes(body)
