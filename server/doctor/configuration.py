"""Variables that are valid by themselves, and which stand-ins they lead to."""

from __future__ import annotations

from server.config import Settings
from server.doctor.verdict import Verdict


def check_configuration(settings: Settings) -> Verdict:
    """Which world this is, and what stands in for what."""
    outside = {
        "MongoDB": settings.mongodb_uri,
        "Clerk": settings.clerk_issuer,
        "Polar": settings.polar_access_token,
        "Gemini": settings.gemini_api_key,
    }
    stand_ins = [name for name, given in outside.items() if given is None]
    told = f"stand-ins for {', '.join(stand_ins)}" if stand_ins else "no stand-ins"
    return Verdict("ok", f"APP_ENV is {settings.environment}; {told}.")
