"""Polar, asked for the newest orders: what the worker reads anyway, with the same token."""

from __future__ import annotations

from server.config import Settings
from server.doctor.verdict import Verdict
from server.providers.polar import PolarClient
from server.providers.polar_outcomes import TOKEN_CODES, PolarFailed


async def check_polar(settings: Settings) -> Verdict:
    """Is it there, and does it know our token?"""
    if settings.polar_access_token is None:
        return Verdict("skipped", "POLAR_ACCESS_TOKEN is not set: the development checkout stands in.")
    polar = PolarClient(settings.polar_base_url, settings.polar_access_token)
    try:
        await polar.list_orders(1)
    except PolarFailed as failed:
        if failed.status in TOKEN_CODES:
            return Verdict(
                "failed",
                f"Polar refuses the token ({failed.status}).",
                "Look at POLAR_ACCESS_TOKEN, its scopes, and POLAR_ENV: sandbox and production know only their own tokens.",
            )
        if failed.status is None:
            return Verdict("failed", "Polar gave no usable answer.", "Can this machine reach it?")
        return Verdict("failed", f"Polar answers {failed.status}.", "Try again; look at POLAR_ENV where it stays.")
    finally:
        await polar.aclose()
    return Verdict("ok", "Polar knows the token and lists orders.")
