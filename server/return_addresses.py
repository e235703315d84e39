"""Where a payment may lead back to: our own pages and those that are configured, and nothing that only looks like them.

Invariant: what passes is an address that a browser reads as we did. Anything that parsers are known to disagree on is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn
from urllib.parse import SplitResult, urlsplit

from server.errors import Invalid

MAX_ADDRESS_CHARS = 2_000
EVERYONE = "*"
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
DEFAULT_PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int]
"""Scheme, host, port."""


class ReturnAddresses:
    """The origins that buyers may be sent back to. Where every browser page is allowed, this machine's own are."""

    __slots__ = ("_allows_loopback", "_origins")

    def __init__(self, public_url: str, allowed: Sequence[str]) -> None:
        addresses = [public_url, *(each for each in allowed if each != EVERYONE)]
        self._origins = frozenset(origin for origin in map(_readable_origin, addresses) if origin is not None)
        self._allows_loopback = EVERYONE in allowed

    def __repr__(self) -> str:
        loopback = " and this machine" if self._allows_loopback else ""
        return f"<ReturnAddresses {sorted(self._origins)}{loopback}>"

    def page(self, field: str, text: str) -> str:
        """The address of a page that may be returned to. Raises `Invalid`, naming the field."""
        self._check(field, text)
        return text

    def origin(self, field: str, text: str) -> str:
        """The same for a bare origin, as browsers name it. Raises `Invalid`, naming the field."""
        parts = self._check(field, text)
        if text.lower() != f"{parts.scheme}://{parts.netloc}".lower():
            raise Invalid(field, "must be an origin, such as https://example.com, without a path")
        return text.lower()

    def _check(self, field: str, text: str) -> SplitResult:
        if not 0 < len(text) <= MAX_ADDRESS_CHARS:
            raise Invalid(field, f"must have at most {MAX_ADDRESS_CHARS} characters")
        if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
            _refuse(field)
        try:
            parts = urlsplit(text)
            origin = _origin(parts)
        except ValueError:
            _refuse(field)
        is_local = self._allows_loopback and origin[1] in LOOPBACK_HOSTS
        if origin not in self._origins and not is_local:
            raise Invalid(field, "must be an address of this product")
        return parts


def _readable_origin(address: str) -> Origin | None:
    """The origin of a configured address, or None where it has none."""
    try:
        return _origin(urlsplit(address))
    except ValueError:
        return None


def _origin(parts: SplitResult) -> Origin:
    """Scheme, host and port, in one spelling. Raises `ValueError` where there is more or less than that."""
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        raise ValueError("no plain address")
    port = parts.port
    return parts.scheme, parts.hostname, DEFAULT_PORTS[parts.scheme] if port is None else port


def _refuse(field: str) -> NoReturn:
    raise Invalid(field, "must be an address that begins with https:// or http://")
