"""Who is calling: tokens from sockets and headers become identities, or sentences."""

from __future__ import annotations

import logging
from collections.abc import Callable

from schema.values import Millis
from server.auth.clerk import TokenVerifier
from server.auth.errors import KeysUnavailable, TokenRefused
from server.auth.identity import Identity, VerifiedToken

log = logging.getLogger("anime.auth")


class CallerRefused(Exception):
    """The token is not accepted, in a sentence."""


class Callers:
    """Verifies tokens with the process's clock."""

    def __init__(self, verifier: TokenVerifier, clock: Callable[[], Millis]) -> None:
        self._verifier, self._clock = verifier, clock

    def __repr__(self) -> str:
        return f"<Callers {self._verifier!r}>"

    async def verify(self, token: str) -> VerifiedToken:
        """The person the token stands for. Raises `CallerRefused`."""
        try:
            return await self._verifier.verify(token, self._clock())
        except (TokenRefused, KeysUnavailable) as error:
            log.info("token refused: %s", error, extra={"action": "auth.refused"})
            raise CallerRefused(str(error)) from None

    async def of_header(self, header: str | None) -> Identity | None:
        """The caller that an `Authorization` header names; None without one. Raises `CallerRefused`."""
        if header is None:
            return None
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise CallerRefused("The Authorization header must be of the form Bearer <token>.")
        return (await self.verify(token.strip())).identity
