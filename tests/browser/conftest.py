"""A real browser for the page's tests, people to sit in front of it, and a house that can be closed and opened again.

Invariant: no browser is downloaded and no test is skipped; where there is none, the run fails and says what is missing.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, async_playwright, expect
from pymongo import AsyncMongoClient

from server.config import Settings, read_settings
from server.processes import listening, serving, working
from server.runtime import open_runtime
from tests.browser.person import PATIENCE_MS, REPORT_VIOLATIONS, Invite, Person
from tests.support.world import free_port, fresh_database

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
ARTIFACTS: Final = Path(__file__).parents[1] / "artifacts"
WINDOW: Final = (1200, 900)


@pytest.fixture(scope="session")
async def browser(built_page: Path) -> AsyncIterator[Browser]:
    """A headless browser with a fresh profile, alive for the whole run; there is a page for it to show."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.fail(f"The browser tests need one of {', '.join(NAMES)} on PATH, and there is none. Install chromium.")
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield opened
        await opened.close()


@pytest.fixture
async def invite(browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Invite]:
    """Brings people by name. Afterwards each is photographed, and none may have seen an error or a policy violation."""
    people: list[Person] = []
    expect.set_options(timeout=PATIENCE_MS)

    async def bring(name: str, window: tuple[int, int] = WINDOW) -> Person:
        size = {"width": window[0], "height": window[1]}
        context = await browser.new_context(viewport=size, reduced_motion="reduce")  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        await context.add_init_script(REPORT_VIOLATIONS)
        people.append(Person(name, context, await context.new_page()))
        return people[-1]

    yield bring
    for person in people:
        await person.photograph(ARTIFACTS, re.sub(r"\W+", "-", request.node.name))
        await person.context.close()
    assert {person.name: person.unexpected() for person in people if person.unexpected()} == {}


class House:
    """A product that can be closed and opened again, with the same database at the same address."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._open: AsyncExitStack | None = None

    def __repr__(self) -> str:
        return f"<House {'open' if self._open else 'closed'} at {self.settings.public_url}>"

    async def open(self) -> None:
        """Serve, as `python -m server dev` does."""
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(listening(self.settings))
            runtime = await stack.enter_async_context(open_runtime(self.settings))
            await stack.enter_async_context(serving(self.settings, runtime, listener))
            await stack.enter_async_context(working(runtime))
            self._open = stack.pop_all()

    async def close(self) -> None:
        """Stop serving; what is in the database stays."""
        opened, self._open = self._open, None
        if opened is not None:
            await opened.aclose()


@pytest.fixture
async def house(mongod_uri: str, tmp_path: Path) -> AsyncIterator[House]:
    """An open house whose administrator is Root."""
    env = {"MONGODB_URI": fresh_database(mongod_uri), "PORT": str(free_port()), "DATA_DIR": str(tmp_path)}
    opened = House(read_settings({**env, "ADMIN_USER_IDS": "Root"}, default_environment="development"))
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()
        async with AsyncMongoClient[dict[str, object]](env["MONGODB_URI"]) as client:
            name = client.get_default_database().name
            for each in (name, f"{name}_blobs"):
                await client.drop_database(each)
