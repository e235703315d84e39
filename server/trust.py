"""Whose certificates count when we call somebody. They are read once: it takes longer than a request, and every client would."""

from __future__ import annotations

import functools
import ssl

import httpx


@functools.cache
def trust() -> ssl.SSLContext:
    """The certificates of `SSL_CERT_FILE` or `SSL_CERT_DIR` where one is set, else those that come with httpx."""
    return httpx.create_ssl_context()
