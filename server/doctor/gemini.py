"""Gemini, asked what it knows of our model. Nothing is drawn and nothing is paid."""

from __future__ import annotations

from urllib.parse import quote

import httpx

from server.config import Settings
from server.doctor.verdict import Verdict
from server.providers.gemini_wire import API_VERSION
from server.trust import refused_certificate, trust

ADDRESS = "https://generativelanguage.googleapis.com"
TIMEOUT_S = 7.0
KEY_CODES = frozenset({400, 401, 403})


async def check_gemini(settings: Settings) -> Verdict:
    """Is the key known, and the model there?"""
    if settings.gemini_api_key is None:
        return Verdict("skipped", "GEMINI_API_KEY is not set: pictures are drawn on this machine.")
    address = (settings.gemini_base_url or ADDRESS).rstrip("/")
    url = f"{address}/{API_VERSION}/models/{quote(settings.gemini_model, safe='')}"
    async with httpx.AsyncClient(verify=trust(), timeout=TIMEOUT_S) as http:
        try:
            reply = await http.get(url, headers={"x-goog-api-key": settings.gemini_api_key})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            seen = f"Gemini cannot be reached ({refused_certificate(error) or type(error).__name__})."
            return Verdict("failed", seen, "Can this machine reach it? Look at GEMINI_BASE_URL where it is set.")
    if reply.status_code == httpx.codes.OK:
        return Verdict("ok", f"Gemini knows the key and {settings.gemini_model}.")
    if reply.status_code == httpx.codes.NOT_FOUND:
        seen = f"Gemini has no model {settings.gemini_model}."
        return Verdict("failed", seen, "Models are retired within months: set GEMINI_MODEL.")
    if reply.status_code in KEY_CODES:
        return Verdict("failed", f"Gemini refuses the key ({reply.status_code}).", "Look at GEMINI_API_KEY.")
    return Verdict("failed", f"Gemini answers {reply.status_code}.", "Try again in a minute.")
