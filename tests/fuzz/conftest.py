"""Who is shot at, and what must not happen to them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable

import pytest

from tests.fuzz.trials import Trials, trials_of
from tests.support.live import LiveClient, world_client
from tests.support.world import World, open_world

LEDGER = "anime.ledger"


@pytest.fixture
def trials(request: pytest.FixtureRequest) -> Trials:
    """This target's."""
    return trials_of(request.node.name, len(request.session.items))


@pytest.fixture(scope="session")
async def town(mongod_uri: str) -> AsyncIterator[World]:
    """A product that is shot at from all sides."""
    async with open_world(mongod_uri) as opened:
        yield opened


@pytest.fixture(scope="session")
async def healthy(town: World) -> AsyncIterator[LiveClient]:
    """Somebody on the same product, who must not notice anything."""
    async with world_client(town, "healthy") as client:
        await client.mutation("users:ensureUser")
        yield client


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Callable[[], None]:
    """Fails if anything so far was an error of ours in the log: a stranger's message never is.

    Other products live in this process, and stories there write balances by hand, at which a recurring audit cries out. Here
    `answers` holds the balance that matters against what it was.
    """

    def check() -> None:
        errors = [each for each in caplog.records if each.levelno >= logging.ERROR and each.name != LEDGER]
        assert errors == [], [(each.name, each.getMessage(), each.exc_text) for each in errors]

    return check


async def answers(client: LiveClient) -> None:
    """The product still serves others."""
    assert await client.query_once("users:getCurrentUserCredits") == {"credits": 10, "hasFreeTrial": True}
