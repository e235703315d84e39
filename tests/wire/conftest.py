"""Fixtures of the published clients' tests: a world with playground functions, a wire to cut, storytellers."""

from __future__ import annotations

import secrets
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from tests.support.http import http_client
from tests.support.proxy import Proxy
from tests.support.world import World, open_world
from tests.wire import playground
from tests.wire.node import HERE, ready_node
from tests.wire.story import Story, telling

Teller = Callable[..., AbstractAsyncContextManager[Story]]


async def write_notes(world: World, subject: str, *texts: str) -> None:
    """Write notes beside the story, over HTTP."""
    async with http_client(headers={"Authorization": f"Bearer {await world.token(subject)}"}) as http:
        for text in texts:
            body = {"path": "playground:note", "args": {"text": text}}
            reply = await http.post(f"{world.url}/api/mutation", json=body)
            assert reply.json()["status"] == "success"


@pytest.fixture(scope="session")
async def world(mongod_uri: str) -> AsyncIterator[World]:
    """A product with the playground beside its own functions, for all tests of the folder: each is somebody else in it."""
    async with open_world(mongod_uri, registry=playground.with_playground(playground)) as opened:
        yield opened


@pytest.fixture
def subject() -> str:
    """Somebody new."""
    return f"user_{secrets.token_hex(4)}"


@pytest.fixture
async def proxy(world: World) -> AsyncIterator[Proxy]:
    """A wire to the world."""
    async with Proxy(world.settings.port) as opened:
        yield opened


@pytest.fixture(scope="session")
async def node() -> str:
    """A Node.js with the npm client."""
    return await ready_node()


@pytest.fixture
def npm(node: str, world: World, subject: str) -> Teller:
    """Tells a story with the npm client: `npm("credits")` runs `credits.mjs`."""

    def tell(name: str, **told: object) -> AbstractAsyncContextManager[Story]:
        facts = {"url": world.url, "site": world.url, "subject": subject, **told}
        return telling(name, node, str(HERE / f"{name}.mjs"), **facts)

    return tell


@pytest.fixture
def pypi(world: World, subject: str) -> Teller:
    """Tells a story with the PyPI client: `pypi("http")` runs `http` of the Python stories."""

    def tell(name: str, **told: object) -> AbstractAsyncContextManager[Story]:
        facts = {"url": world.url, "site": world.url, "subject": subject, **told}
        return telling(name, sys.executable, "-m", "tests.wire.python_stories", name, **facts)

    return tell
