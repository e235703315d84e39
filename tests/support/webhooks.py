"""Polar and Clerk as they sign: what tests post to the webhook routes, and the provider's own documents to post."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from pathlib import Path
from typing import Literal

import httpx

from tests.support.live import Value
from tests.support.world import World

FIXTURES = Path(__file__).parents[1] / "fixtures" / "polar"
PATHS = {"webhook": "/webhooks/polar", "svix": "/webhooks/clerk"}

Prefix = Literal["webhook", "svix"]


def fixture(name: str) -> bytes:
    """One of Polar's documents, byte for byte."""
    return (FIXTURES / name).read_bytes()


def sign(key: bytes, body: bytes, message_id: str, at_s: float, prefix: Prefix = "webhook") -> dict[str, str]:
    """The headers of a signed message, made without any code of ours."""
    stamp = str(int(at_s))
    digest = hmac.new(key, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        f"{prefix}-id": message_id,
        f"{prefix}-timestamp": stamp,
        f"{prefix}-signature": f"v1,{base64.b64encode(digest).decode()}",
        "content-type": "application/json",
    }


def new_id() -> str:
    """The id of a message that was never sent before."""
    return f"msg_{secrets.token_hex(12)}"


class Sender:
    """A provider with the secret that the world shares with it."""

    def __init__(self, world: World, http: httpx.AsyncClient, prefix: Prefix) -> None:
        self._world, self._http, self.prefix = world, http, prefix
        runtime = world.runtime
        own = runtime.polar_webhook_secrets if prefix == "webhook" else runtime.clerk_webhook_secrets
        self.key = own[0].encode()

    def __repr__(self) -> str:
        return f"<Sender {self.prefix} of {self._world!r}>"

    async def send(self, event: Value | bytes, *, message_id: str | None = None, path: str = "") -> httpx.Response:
        """Post an event as its provider does; bytes go as they are."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        return await self.post(body, sign(self.key, body, message_id or new_id(), time.time(), self.prefix), path)

    async def post(self, body: bytes, headers: dict[str, str], path: str = "") -> httpx.Response:
        """Post anything."""
        return await self._http.post(f"{self._world.url}{path or PATHS[self.prefix]}", content=body, headers=headers)
