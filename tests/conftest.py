"""Fixtures that everything shares: one real mongod for the whole run, a fresh database for each test that wants one."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from server.store.embedded import EmbeddedMongod
from tests.support.longest_first import seconds_of
from tests.support.page import ready_page
from tests.support.world import World, open_world

# A busy machine is no finding: nothing timed is asserted, and that holds for drawing examples too.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin the files that take longest first; within a file nothing changes."""
    items.sort(key=lambda item: -seconds_of(item.path))


@pytest.fixture(scope="session")
async def mongod_uri() -> AsyncIterator[str]:
    """The address of a real mongod, a replica set of one, alive for the whole run."""
    with tempfile.TemporaryDirectory(prefix="anime-mongod-", ignore_cleanup_errors=True) as folder:
        async with EmbeddedMongod(Path(folder)) as mongod:
            yield mongod.uri


@pytest.fixture(scope="session")
async def built_page() -> Path:
    """The folder of the page as it is built from the sources of now."""
    return await ready_page()


@pytest.fixture
async def world(mongod_uri: str) -> AsyncIterator[World]:
    """A whole product with a database of its own."""
    async with open_world(mongod_uri) as opened:
        yield opened
