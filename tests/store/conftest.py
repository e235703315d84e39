"""One database for all stories of the queue, each of which begins with an empty one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.store.mongo import MongoStore
from tests.support.workshop import open_premises


@pytest.fixture(scope="session")
async def premises(mongod_uri: str) -> AsyncIterator[MongoStore]:
    """Where workshops open one after the other."""
    async with open_premises(mongod_uri) as opened:
        yield opened
