"""Who is calling: tokens from sockets and headers become identities, or sentences."""

from __future__ import annotations

import logging
from collections.abc import Callable

from schema.values import Millis
from server.auth.clerk import TokenVerifier
from server.auth.errors import KeysUnavailable, TokenRefused
from server.auth.identity import Identity, VerifiedToken
from server.limits import Limits, Rate

FAILED_SIGN_INS = "failed sign-ins"

log = logging.getLogger("anime.auth")


class CallerRefused(Exception):
    """The token is not accepted, in a sentence."""


class Callers:
    """Verifies tokens with the process's clock. An address from which too many were bad is not listened to for a while."""

    def __init__(self, verifier: TokenVerifier, limits: Limits, rate: Rate, clock: Callable[[], Millis]) -> None:
        self._verifier, self._limits, self._rate, self._clock = verifier, limits, rate, clock

    def __repr__(self) -> str:
        return f"<Callers {self._verifier!r}>"

    async def verify(self, token: str, address: str) -> VerifiedToken:
        """The person the token stands for. Raises `CallerRefused`, and `RateLimited` without having looked at the token."""
        await self._limits.check(FAILED_SIGN_INS, address, self._rate)
        try:
            return await self._verifier.verify(token, self._clock())
        except (TokenRefused, KeysUnavailable) as error:
            if isinstance(error, TokenRefused):
                await self._limits.count(FAILED_SIGN_INS, address, self._rate)
            log.info("token refused: %s", error, extra={"action": "auth.refused"})
            raise CallerRefused(str(error)) from None

    async def of_header(self, header: str | None, address: str) -> Identity | None:
        """The caller that an `Authorization` header names; None without one. Raises `CallerRefused` and `RateLimited`."""
        if header is None:
            return None
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise CallerRefused("The Authorization header must be of the form Bearer <token>.")
        return (await self.verify(token.strip(), address)).identity
