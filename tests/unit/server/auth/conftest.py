"""The running parts that these tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from server.auth.keys import KeySet
from tests.support.http import http_client
from tests.unit.server.auth.issuer_site import IssuerSite, VirtualClock, issuer_site


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that stands until moved."""
    return VirtualClock()


@pytest.fixture(scope="package")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A real HTTP client."""
    async with http_client() as client:
        yield client


@pytest.fixture(scope="package")
async def open_site() -> AsyncIterator[IssuerSite]:
    """An issuer that runs for all these tests."""
    async with issuer_site() as running:
        yield running


@pytest.fixture
async def site(open_site: IssuerSite) -> AsyncIterator[IssuerSite]:
    """The running issuer, which publishes the key k1 and has not been asked yet."""
    open_site.reset()
    yield open_site
    open_site.gate.set()


@pytest.fixture
async def keys(site: IssuerSite, http: httpx.AsyncClient, clock: VirtualClock) -> AsyncIterator[KeySet]:
    """The key set of that issuer, with nothing fetched yet."""
    opened = KeySet(site.url, http, clock)
    yield opened
    await opened.aclose()
