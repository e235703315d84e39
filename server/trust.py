"""Whose certificates count when we call somebody. They are read once: it takes longer than a request, and every client would."""

from __future__ import annotations

import functools
import re
import ssl

import httpx

REFUSED = re.compile(r"certificate verify failed: (?P<why>[^(\n]+?) \(_ssl")
"""How OpenSSL says it, wherever a library has put its words."""


@functools.cache
def trust() -> ssl.SSLContext:
    """The certificates of `SSL_CERT_FILE` or `SSL_CERT_DIR` where one is set, else those that come with httpx."""
    return httpx.create_ssl_context()


def refused_certificate(error: BaseException) -> str | None:
    """Why the other side's certificate did not count, for example `certificate has expired`; None where that was not it."""
    found = REFUSED.search(str(error))
    return found["why"] if found else None
