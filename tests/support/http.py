"""HTTP clients for tests. They share the certificates they never need: reading those takes longer than most tests."""

from __future__ import annotations

from typing import Any

import httpx

from server.trust import trust


def http_client(**options: Any) -> httpx.AsyncClient:
    """A client for servers on this machine; `options` are those of httpx."""
    return httpx.AsyncClient(verify=trust(), trust_env=False, **options)
