"""Whether a server of ours is at the public address, and ready."""

from __future__ import annotations

import httpx

from server.config import Settings
from server.doctor.verdict import Verdict
from server.trust import trust

NAME = "anime-leak"
TIMEOUT_S = 5.0


async def check_server(settings: Settings) -> Verdict:
    """Who answers at PUBLIC_URL, and does it see changes?"""
    url = settings.public_url
    async with httpx.AsyncClient(verify=trust(), timeout=TIMEOUT_S, trust_env=not settings.is_development) as http:
        try:
            told, ready = await http.get(f"{url}/version"), await http.get(f"{url}/readyz")
        except httpx.ConnectError:
            return Verdict("skipped", f"no server answers at {url}.")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Verdict(
                "failed", f"what is at {url} gives no answer ({type(error).__name__}).", "Look at PUBLIC_URL."
            )
    if f'"{NAME}"' not in told.text:
        return Verdict("failed", f"something else answers at {url}.", "Set PORT or PUBLIC_URL.")
    if ready.status_code != httpx.codes.OK:
        if '"ledger"' in ready.text:
            return Verdict(
                "failed", f"the server at {url} is not ready: balances are wrong.", "Run python -m server audit."
            )
        if '"draining"' in ready.text:
            return Verdict("failed", f"the server at {url} is about to stop.", "Ask again when another has taken over.")
        return Verdict("failed", f"the server at {url} is not ready: changes do not arrive.", "Look at its log.")
    return Verdict("ok", f"the server at {url} is ready.")
