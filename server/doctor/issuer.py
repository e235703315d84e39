"""Clerk's keys, fetched and read as the server does it."""

from __future__ import annotations

import httpx

from server.auth.errors import KeysUnavailable
from server.auth.keys import KeySet
from server.config import Settings
from server.doctor.verdict import Verdict
from server.runtime import clock
from server.trust import trust


async def check_issuer(settings: Settings) -> Verdict:
    """Are there keys to check tokens with, and is it said whose tokens count?"""
    if settings.clerk_issuer is None:
        return Verdict("skipped", "CLERK_JWT_ISSUER_DOMAIN is not set: the development issuer stands in.")
    async with httpx.AsyncClient(verify=trust()) as http:
        keys = KeySet(f"{settings.clerk_issuer}/.well-known/jwks.json", http, clock)
        try:
            await keys.find("")
        except KeysUnavailable:
            return Verdict(
                "failed",
                "no usable keys at /.well-known/jwks.json of the issuer: nobody can sign in.",
                "Look at CLERK_JWT_ISSUER_DOMAIN.",
            )
        finally:
            await keys.aclose()
    if not settings.authorized_parties:
        return Verdict(
            "warning",
            "its keys are read; tokens issued to any site of yours are accepted.",
            "Set CLERK_AUTHORIZED_PARTIES.",
        )
    return Verdict("ok", "its keys are read.")
