"""A real browser for the page's tests, and people to sit in front of it.

Invariant: no browser is downloaded and no test is skipped; where there is none, the run fails and says what is missing.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, async_playwright, expect

from tests.browser.person import PATIENCE_MS, REPORT_VIOLATIONS, Invite, Person

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ARTIFACTS: Final = Path(__file__).parents[1] / "artifacts"
WINDOW: Final = (1200, 900)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A headless browser with a fresh profile, alive for the whole run."""
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

    async def bring(name: str) -> Person:
        width, height = WINDOW
        context = await browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
        context.set_default_timeout(PATIENCE_MS)
        await context.add_init_script(REPORT_VIOLATIONS)
        people.append(Person(name, context, await context.new_page()))
        return people[-1]

    yield bring
    ARTIFACTS.mkdir(exist_ok=True)
    for person in people:
        scene = re.sub(r"\W+", "-", f"{request.node.name}-{person.name}")
        await person.page.screenshot(path=ARTIFACTS / f"{scene}.png")
        await person.context.close()
    assert {person.name: person.unexpected() for person in people if person.unexpected()} == {}
