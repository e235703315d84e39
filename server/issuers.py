"""Who issues identities: the second half of the composition root, for processes that serve the web.

Invariant: as in `runtime`, what is opened here is closed here, also after a failure.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.routing import BaseRoute

from server.auth.clerk import TokenVerifier
from server.auth.keys import KeySet
from server.config import Settings
from server.dev.checkout import Courier, checkout_routes
from server.dev.issuer import DevIssuer, dev_routes
from server.dev.polar import polar_routes
from server.dev.sales import DevPolar
from server.ids import capability_id
from server.runtime import Runtime, clock
from server.trust import trust

log = logging.getLogger("anime.start")


@asynccontextmanager
async def open_identity(settings: Settings, runtime: Runtime) -> AsyncIterator[tuple[TokenVerifier, list[BaseRoute]]]:
    """Whose tokens count, and the routes of the development issuer and checkout where they exist."""
    async with (
        httpx.AsyncClient(verify=trust()) as http,
        httpx.AsyncClient(verify=trust(), trust_env=False) as loopback,
    ):
        routes: list[BaseRoute] = []
        parties: tuple[str, ...] = ()
        if settings.clerk_issuer is not None:
            parties = settings.authorized_parties
            issuer = settings.clerk_issuer
            keys_url = f"{issuer}/.well-known/jwks.json"
        else:
            issuer = f"{settings.public_url}/dev"
            # The same fetch as from Clerk, but from the port we listen on: the public address may not lead back to us.
            keys_url = f"{settings.local_url}/dev/.well-known/jwks.json"
            routes += dev_routes(DevIssuer.open(issuer, settings.data_dir), clock, runtime.make_admin)
        if not parties and not settings.is_development:
            log.warning(
                "CLERK_AUTHORIZED_PARTIES is empty: tokens that Clerk issued to any site of yours are accepted",
                extra={"action": "identity.any_party"},
            )
        if settings.is_development and settings.polar_access_token is None:
            polar = DevPolar(settings.public_url, clock, capability_id)
            endpoint = f"{settings.local_url}/webhooks/polar"
            courier = Courier(loopback, endpoint, runtime.polar_webhook_secrets[0], clock)
            routes += [*polar_routes(polar), *checkout_routes(polar, courier, settings.public_url)]
        keys = KeySet(keys_url, http, clock)
        try:
            yield TokenVerifier(issuer, keys, authorized_parties=parties), routes
        finally:
            await keys.aclose()
