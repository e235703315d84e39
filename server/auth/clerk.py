"""The gate for identity tokens: a signed text in, a verified person out, or `TokenRefused`.

Invariant: nothing a token says is believed before its signature is checked with a key of the one configured issuer. The
token chooses neither the algorithm, nor the issuer, nor where keys come from; it only names one of the issuer's keys.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.exceptions import InvalidSubjectError

from schema.values import Millis, seconds
from server.auth.errors import TokenRefused
from server.auth.identity import Identity, VerifiedToken
from server.auth.keys import KeySet

ALGORITHM = "RS256"
LEEWAY_S = 5.0
MAX_TOKEN_CHARS = 16 * 1024
MAX_KID_CHARS = 256
MAX_SUBJECT_CHARS = 255
MAX_CLAIM_CHARS = 512
LAST_TIME_S = 253_402_300_799.0
"""The end of the year 9999: a time beyond it is a mistake, and would not survive arithmetic."""

_REQUIRED_CLAIMS = ["exp", "iat", "iss", "sub", "aud"]
_UNREADABLE = "This is not a token we can read."
_REFUSALS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.InvalidSignatureError, "The token's signature is wrong."),
    (jwt.InvalidAlgorithmError, f"Tokens must be signed with {ALGORITHM}."),
    (jwt.InvalidIssuerError, "The token comes from another issuer."),
    (jwt.InvalidAudienceError, "The token is meant for another application: its audience is a different one."),
    (InvalidSubjectError, "The token's subject must be a text."),
)
"""More particular errors first."""


class TokenVerifier:
    """Verifies one issuer's tokens. The caller's clock decides what has expired, so a test's clock does too."""

    __slots__ = ("_audience", "_authorized_parties", "_issuer", "_keys")

    def __init__(
        self, issuer: str, keys: KeySet, audience: str = "convex", authorized_parties: Collection[str] = ()
    ) -> None:
        self._issuer = issuer.rstrip("/")
        if not self._issuer or not audience:
            raise ValueError("a token verifier needs an issuer and an audience")
        self._keys = keys
        self._audience = audience
        self._authorized_parties = frozenset(authorized_parties)

    def __repr__(self) -> str:
        return f"TokenVerifier({self._issuer!r}, audience={self._audience!r}, {self._keys!r})"

    async def verify(self, token: str, now: Millis) -> VerifiedToken:
        """Whom this token stands for. Raises `TokenRefused`, or `KeysUnavailable` when it cannot be judged now."""
        key = await self._keys.find(_key_id(token))
        if key is None:
            raise TokenRefused("The token is signed with a key that its issuer does not publish.")
        claims = self._claims(token, key)
        expires_at = _check_times(claims, now)
        if claims.get("sts") == "pending":
            raise TokenRefused("This sign-in is not complete yet.")
        if self._authorized_parties and not _is_one_of(claims.get("azp"), self._authorized_parties):
            raise TokenRefused("The token was issued to another site.")
        return VerifiedToken(_identity(claims, self._issuer), expires_at)

    def _claims(self, token: str, key: RSAPublicKey) -> Mapping[str, object]:
        try:
            claims: Mapping[str, object] = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=(self._issuer, f"{self._issuer}/"),
                # PyJWT reads the machine's clock; `_check_times` reads ours.
                options={"require": _REQUIRED_CLAIMS, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(_reason(error)) from None
        return claims


def _key_id(token: str) -> str:
    """The key this token claims to be signed with. What could never be good is refused here, before any fetch."""
    if len(token) > MAX_TOKEN_CHARS:
        raise TokenRefused(f"This token is too long; the limit is {MAX_TOKEN_CHARS} characters.")
    if not token.isascii():
        raise TokenRefused(_UNREADABLE)
    try:
        header: Mapping[str, object] = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise TokenRefused(_UNREADABLE) from None
    if header.get("alg") != ALGORITHM:
        raise TokenRefused(f"Tokens must be signed with {ALGORITHM}.")
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARS:
        raise TokenRefused("The token does not name the key it is signed with.")
    return kid


def _reason(error: jwt.PyJWTError) -> str:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"The token lacks the claim {error.claim}."
    return next((sentence for kind, sentence in _REFUSALS if isinstance(error, kind)), _UNREADABLE)


def _check_times(claims: Mapping[str, object], now: Millis) -> Millis:
    """When we stop accepting the token. Raises `TokenRefused` when that is past, or when its time has not come."""
    expires_at = _moment(claims, "exp") + seconds(LEEWAY_S)
    if now >= expires_at:
        raise TokenRefused("The token has expired.")
    starts = [_moment(claims, claim) for claim in ("iat", "nbf") if claims.get(claim) is not None]
    if max(starts) > now + seconds(LEEWAY_S):
        raise TokenRefused("The token is not valid yet.")
    return expires_at


def _moment(claims: Mapping[str, object], claim: str) -> Millis:
    value = claims[claim]
    # A bool is an int to Python, and an int may be too large for a float: hence the comparison before the arithmetic.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LAST_TIME_S:
        raise TokenRefused(f"The token's claim {claim} is not a time.")
    return seconds(value)


def _identity(claims: Mapping[str, object], issuer: str) -> Identity:
    subject = _text(claims.get("sub"), MAX_SUBJECT_CHARS)
    if subject is None:
        raise TokenRefused("The token's subject is empty, too long, or not printable.")
    # An address its owner has not confirmed may be anybody's.
    email = None if claims.get("email_verified") is False else _text(claims.get("email"))
    actor = claims.get("act")
    impersonated_by = None
    if actor is not None:
        impersonated_by = (_text(actor.get("sub")) if isinstance(actor, dict) else None) or "unknown"
    return Identity(
        subject=subject, issuer=issuer, name=_text(claims.get("name")), email=email, impersonated_by=impersonated_by
    )


def _text(claim: object, limit: int = MAX_CLAIM_CHARS) -> str | None:
    """A claim as text that can be shown and stored, else None: people choose their names, lone surrogates included."""
    if isinstance(claim, str) and 0 < len(claim) <= limit and claim.isprintable():
        return claim
    return None


def _is_one_of(claim: object, accepted: frozenset[str]) -> bool:
    return isinstance(claim, str) and claim in accepted
