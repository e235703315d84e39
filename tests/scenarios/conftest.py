"""One product that stays open for the whole run, for stories whose people are theirs alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from itertools import count
from typing import Protocol

import pytest

from tests.support.live import LiveClient, world_client
from tests.support.world import World, open_world

_numbers = count()


class Meet(Protocol):
    """Makes people whom no other story knows."""

    def __call__(self, name: str, *, admin: bool = False) -> AbstractAsyncContextManager[LiveClient]:
        """Someone of this name, connected."""
        ...


@pytest.fixture(scope="session")
async def town(mongod_uri: str) -> AsyncIterator[World]:
    """A product shared by many stories: nobody in it is alone, so it is for people who look at what is theirs."""
    async with open_world(mongod_uri) as opened:
        yield opened


@pytest.fixture
def meet(town: World) -> Meet:
    """People of the town."""

    def someone(name: str, *, admin: bool = False) -> AbstractAsyncContextManager[LiveClient]:
        return world_client(town, f"{name}-{next(_numbers)}", admin=admin)

    return someone
