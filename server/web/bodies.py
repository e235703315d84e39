"""Request bodies, read with a bound."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

BODY_DEADLINE_S = 30.0


class BodyTooLarge(Exception):
    """The body is larger than its route takes."""


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, never more than `limit` bytes of it in memory. Raises `BodyTooLarge`."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge
    body = bytearray()
    async with asyncio.timeout(BODY_DEADLINE_S):
        async for piece in request.stream():
            body += piece
            if len(body) > limit:
                raise BodyTooLarge
    return bytes(body)
