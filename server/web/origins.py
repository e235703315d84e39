"""Which browser pages may open a socket or call the HTTP API."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit


class Origins:
    """Same origin, the public address, and those configured. Clients that are no browsers send no origin and are admitted."""

    __slots__ = ("allowed", "everyone")

    def __init__(self, allowed: Sequence[str], public_url: str) -> None:
        self.everyone = "*" in allowed
        parts = urlsplit(public_url)
        self.allowed = frozenset({*allowed, f"{parts.scheme}://{parts.netloc}"})

    def __repr__(self) -> str:
        return "<Origins everyone>" if self.everyone else f"<Origins {sorted(self.allowed)}>"

    def admits(self, origin: str | None, host: str | None) -> bool:
        """May a page of this origin talk to us, asked for at `host`?"""
        if origin is None or self.everyone or origin in self.allowed:
            return True
        return bool(host) and origin in (f"http://{host}", f"https://{host}")
