"""The development identity issuer: signs anybody in as anyone, through the same verification as production.

Invariant: the key is made once and kept, readable by its owner only; whoever starts second uses the first one's key. It
exists in development only: the composition root never builds it in production, and production pins another issuer.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from schema.values import Millis

KEY_FILE = "dev-issuer.pem"
KEY_BITS = 2048
TOKEN_LIFETIME_S = 3_600.0
AUDIENCE = "convex"
MAX_SUBJECT_CHARS = 128
MAX_BODY_BYTES = 4_096
BODY_TIMEOUT_S = 10.0


class DevIssuer:
    """Issues tokens in the name of `issuer`, whose keys are served below that URL."""

    __slots__ = ("_key", "_kid", "issuer")

    def __init__(self, issuer: str, key: rsa.RSAPrivateKey) -> None:
        self.issuer = issuer.rstrip("/")
        self._key = key
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._kid = f"dev_{hashlib.sha256(public).hexdigest()[:24]}"

    @classmethod
    def open(cls, issuer: str, data_dir: Path) -> DevIssuer:
        """The issuer whose key is kept in `data_dir`; the first start makes one, which takes a moment."""
        return cls(issuer, _kept_key(data_dir / KEY_FILE))

    def __repr__(self) -> str:
        return f"DevIssuer({self.issuer!r}, kid={self._kid!r})"

    def token(self, subject: str, *, now: Millis, lifetime_s: float = TOKEN_LIFETIME_S) -> str:
        """A token that says its bearer is `subject`. No two are the same text."""
        issued_at = int(now // 1_000)
        claims = {
            "iss": self.issuer,
            "sub": subject,
            "aud": AUDIENCE,
            "name": subject,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + int(lifetime_s),
            "jti": secrets.token_urlsafe(16),
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._kid})

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public key as a key set."""
        numbers = self._key.public_key().public_numbers()
        jwk = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self._kid,
            "n": _base64_number(numbers.n),
            "e": _base64_number(numbers.e),
        }
        return {"keys": [jwk]}

    def discovery(self) -> dict[str, str | list[str]]:
        """The OpenID configuration document: enough to find the keys."""
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/.well-known/jwks.json",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }


def dev_routes(
    issuer: DevIssuer, clock: Callable[[], Millis], make_admin: Callable[[str], Awaitable[None]]
) -> list[Route]:
    """The issuer over HTTP, below `/dev`."""

    async def token(request: Request) -> JSONResponse:
        try:
            wanted = _wanted(await _body(request))
        except _BadRequest as bad:
            return _unstored({"code": "VALIDATION", "message": str(bad)}, status=400)
        if wanted.admin:
            await make_admin(wanted.subject)
        return _unstored({"token": issuer.token(wanted.subject, now=clock())})

    async def jwks(_: Request) -> JSONResponse:
        return _unstored(issuer.jwks())

    async def discovery(_: Request) -> JSONResponse:
        return _unstored(issuer.discovery())

    return [
        Route("/dev/token", token, methods=["POST"]),
        Route("/dev/.well-known/jwks.json", jwks, methods=["GET"]),
        Route("/dev/.well-known/openid-configuration", discovery, methods=["GET"]),
    ]


class _Wanted(msgspec.Struct, frozen=True):
    subject: str
    admin: bool


class _BadRequest(Exception):
    """The request for a token cannot be understood; the text says why."""


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise _BadRequest(f"The body is too large; the limit is {MAX_BODY_BYTES} bytes.")
    except (TimeoutError, ClientDisconnect):
        raise _BadRequest("The body did not arrive.") from None
    return bytes(body)


def _wanted(body: bytes) -> _Wanted:
    try:
        request: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        request = None
    if not isinstance(request, dict):
        raise _BadRequest('The body must be a JSON object such as {"subject": "alice", "admin": false}.')
    subject, admin = request.get("subject"), request.get("admin", False)
    if not isinstance(subject, str) or not _is_subject(subject):
        raise _BadRequest(
            f"subject must be a text of 1 to {MAX_SUBJECT_CHARS} printable characters, without spaces around it."
        )
    if not isinstance(admin, bool):
        raise _BadRequest("admin must be true or false.")
    return _Wanted(subject, admin)


def _is_subject(text: str) -> bool:
    return 0 < len(text) <= MAX_SUBJECT_CHARS and text.isprintable() and text == text.strip()


def _unstored(content: object, status: int = 200) -> JSONResponse:
    return JSONResponse(content, status_code=status, headers={"Cache-Control": "no-store"})


def _kept_key(path: Path) -> rsa.RSAPrivateKey:
    if not path.exists():
        _keep_new_key(path)
    path.chmod(0o600)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"{path} is not a private RSA key; delete it and a new one is made at the next start")
    return key


def _keep_new_key(path: Path) -> None:
    """Make a key and put it at `path` whole, unless another process was faster: then its key stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pem = rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink(missing_ok=True)


def _base64_number(number: int) -> str:
    octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
