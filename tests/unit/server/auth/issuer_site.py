"""An identity issuer on a real local port, and real tokens signed with real keys."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import jwt
import msgspec
import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from schema.values import Millis, seconds

PATIENCE_S = 10.0
ISSUER = "https://issuer.test"
NOW: Millis = 1_764_000_000_000.0


class VirtualClock:
    """A clock that stands until moved."""

    def __init__(self, now: Millis = NOW) -> None:
        self.now = now

    def __call__(self) -> Millis:
        return self.now

    def forward(self, count_s: float) -> None:
        """Let this many seconds pass."""
        self.now += seconds(count_s)


class IssuerSite:
    """Serves a key set; counts how often it is asked; can fail, or hold its answer back while `gate` is clear."""

    def __init__(self) -> None:
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """As at first: the key k1, nobody asked."""
        self.publish(("k1", rsa_key("k1")))
        self.status = 200
        self.headers: dict[str, str] = {}
        self.requests = 0
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    def publish(self, *kids_and_keys: tuple[str, rsa.RSAPrivateKey]) -> None:
        """From now on, serve these keys."""
        self.body = key_set([public_jwk(kid, key) for kid, key in kids_and_keys])

    async def await_request(self) -> None:
        """Until somebody asks; a test that waits in vain fails instead of hanging."""
        async with asyncio.timeout(PATIENCE_S):
            await self.asked.wait()

    async def answer(self, _: Request) -> Response:
        """One answer to a request for the key set."""
        self.requests += 1
        self.asked.set()
        await self.gate.wait()
        return Response(self.body, self.status, self.headers, "application/json")


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """The URL of this app on a free port. The socket listens before the server runs, so nobody needs to wait."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=1))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


@asynccontextmanager
async def issuer_site() -> AsyncIterator[IssuerSite]:
    """A running issuer."""
    site = IssuerSite()
    async with serving(Starlette(routes=[Route("/.well-known/jwks.json", site.answer)])) as url:
        site.url = f"{url}/.well-known/jwks.json"
        yield site


@functools.cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key under a name, made once per run."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=bits)


def public_jwk(kid: str, key: rsa.RSAPrivateKey, **changes: str) -> dict[str, str]:
    """The public half as a JWK."""
    jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {"kty": "RSA", "n": jwk["n"], "e": jwk["e"], "kid": kid, "use": "sig", "alg": "RS256", **changes}


def key_set(keys: Iterable[object]) -> bytes:
    """A JWKS document."""
    return msgspec.json.encode({"keys": list(keys)})


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    """The public half as PEM text: the secret of the classic HS256 confusion."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def claims_of(**changes: object) -> dict[str, object]:
    """Good claims at NOW with these changes; `...` takes a claim away."""
    at = int(NOW // 1_000)
    claims: dict[str, object] = {
        "iss": ISSUER,
        "sub": "user_ana",
        "aud": "convex",
        "iat": at,
        "nbf": at - 5,
        "exp": at + 60,
        "sts": "active",
        **changes,
    }
    return {claim: value for claim, value in claims.items() if value is not ...}


def signed(claims: dict[str, object], kid: str | None = "k1", key: rsa.RSAPrivateKey | None = None) -> str:
    """These claims, whatever they are, signed RS256: `jwt.encode` would refuse to sign some of what we must refuse."""
    return jwt.api_jws.encode(
        msgspec.json.encode(claims), key or rsa_key("k1"), "RS256", {"kid": kid} if kid is not None else None
    )
