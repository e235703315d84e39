"""An issuer's public keys by key id, fetched when needed and kept.

Invariant: whatever key ids callers ask for, the issuer is asked at most once per COOLDOWN_S (RETRY_S while we have no
keys at all), by one request at a time. A failed fetch never takes away keys we have; a successful one replaces them
all, so a key that the issuer withdraws stops counting.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import InvalidKeyError
from jwt.algorithms import RSAAlgorithm

from schema.values import Millis, hours, minutes, seconds
from server.auth.errors import KeysUnavailable

LIFETIME_MS = hours(1)
REFRESH_AFTER_MS = minutes(5)
COOLDOWN_S = 30.0
RETRY_S = 5.0
FETCH_TIMEOUT_S = 5.0
MAX_KEY_SET_BYTES = 64 * 1024
MIN_KEY_BITS = 2048

log = logging.getLogger(__name__)


class KeySet:
    """The keys one issuer signs with. Owns the one task that fetches them: close it with `aclose`.

    `clock` only measures ages. A waiting caller may be cancelled without harm to the others: the fetch goes on.
    """

    __slots__ = (
        "_attempted_at",
        "_clock",
        "_closed",
        "_failed",
        "_fetching",
        "_http",
        "_keys",
        "_loaded_at",
        "_timeout_s",
        "_url",
    )

    def __init__(
        self, url: str, http: httpx.AsyncClient, clock: Callable[[], Millis], *, timeout_s: float = FETCH_TIMEOUT_S
    ) -> None:
        self._url, self._http, self._clock, self._timeout_s = url, http, clock, timeout_s
        self._keys: dict[str, RSAPublicKey] = {}
        self._loaded_at: Millis = -math.inf
        self._attempted_at: Millis = -math.inf
        self._failed = True
        self._closed = False
        self._fetching: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "closed" if self._closed else "last fetch failed" if self._failed else "current"
        return f"KeySet({self._url!r}, {len(self._keys)} keys, {state})"

    async def find(self, kid: str) -> RSAPublicKey | None:
        """The key of this id, or None when the issuer has no such key. Raises `KeysUnavailable` when we cannot know."""
        now = self._clock()
        age = now - self._loaded_at
        if kid not in self._keys or age >= LIFETIME_MS:
            fetching = self._fetch_once(now)
            if fetching is not None:
                await asyncio.wait({fetching})
                if not fetching.cancelled():
                    fetching.result()
        elif age >= REFRESH_AFTER_MS:
            self._fetch_once(now)
        key = self._keys.get(kid)
        if key is None and self._failed:
            raise KeysUnavailable
        return key

    async def aclose(self) -> None:
        """Stop fetching. Keys already here stay usable."""
        self._closed = True
        if self._fetching is not None and not self._fetching.done():
            self._fetching.cancel()
            await asyncio.wait({self._fetching})

    def _fetch_once(self, now: Millis) -> asyncio.Task[None] | None:
        """The fetch under way, or a new one, or None when it is too early for another."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        pause = seconds(COOLDOWN_S if self._keys else RETRY_S)
        if self._closed or now - self._attempted_at < pause:
            return None
        self._fetching = asyncio.create_task(self._fetch(), name="fetch issuer keys")
        return self._fetching

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                keys = parse_key_set(await self._download())
        except (httpx.HTTPError, TimeoutError, _Unusable) as failure:
            self._failed = True
            log.warning("could not fetch the keys at %s: %s", self._url, failure or type(failure).__name__)
        else:
            self._keys, self._loaded_at, self._failed = keys, self._clock(), False
        finally:
            self._attempted_at = self._clock()

    async def _download(self) -> bytes:
        # Without compression the bytes that arrive are the bytes we must hold, so the cap cannot be outwitted.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        request = self._http.stream("GET", self._url, headers=headers, timeout=self._timeout_s, follow_redirects=False)
        async with request as response:
            if response.status_code != httpx.codes.OK:
                raise _Unusable(f"status {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise _Unusable("compressed, though we asked for plain text")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_KEY_SET_BYTES:
                    raise _Unusable(f"more than {MAX_KEY_SET_BYTES} bytes")
            return bytes(body)


class _Unusable(Exception):
    """What the issuer's address answered is no key set for us; the text is for the log."""


class _Jwk(msgspec.Struct, frozen=True):
    kid: str
    kty: str
    use: str
    alg: str
    n: str
    e: str


class _Jwks(msgspec.Struct, frozen=True):
    keys: list[msgspec.Raw]


def parse_key_set(body: bytes) -> dict[str, RSAPublicKey]:
    """The keys of a JWKS document that we may verify with; others are passed over. A set without any is `_Unusable`."""
    try:
        document = msgspec.json.decode(body, type=_Jwks)
    except (msgspec.MsgspecError, RecursionError):
        raise _Unusable("not a key set") from None
    keys: dict[str, RSAPublicKey] = {}
    for raw in document.keys:
        try:
            jwk = msgspec.json.decode(raw, type=_Jwk)
        except (msgspec.MsgspecError, RecursionError):
            continue
        key = _signing_key(jwk)
        if key is not None:
            keys.setdefault(jwk.kid, key)
    if not keys:
        raise _Unusable(f"no RSA key of {MIN_KEY_BITS} bits or more for RS256 signatures")
    return keys


def _signing_key(jwk: _Jwk) -> RSAPublicKey | None:
    if (jwk.kty, jwk.use, jwk.alg) != ("RSA", "sig", "RS256") or not jwk.kid:
        return None
    try:
        # Only the public members are handed on: a private key published by mistake must not become one here.
        key = RSAAlgorithm.from_jwk({"kty": jwk.kty, "n": jwk.n, "e": jwk.e})
    except (InvalidKeyError, ValueError):
        return None
    return key if isinstance(key, RSAPublicKey) and key.key_size >= MIN_KEY_BITS else None
