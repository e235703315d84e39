"""One person at the page: a browser profile of its own, and everything that its console complained about.

Invariant: what a person does goes through the page, as a hand would do it; nothing here calls the server.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Protocol

from playwright.async_api import BrowserContext, ConsoleMessage, Error, FilePayload, Locator, Page, expect

PATIENCE_MS: Final = 30_000.0
"""How long a busy machine may take over anything; nothing is faster or slower for it."""
REPORT_VIOLATIONS: Final = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI}`));
"""
LOST_SOCKET: Final = r"WebSocket connection to .* failed|net::ERR_(CONNECTION|EMPTY|SOCKET|NETWORK)"
"""What Chromium itself prints when a connection fails; a page cannot keep it from doing so."""
WATCH_STATUSES: Final = """
() => {
  window.statuses = [];
  const look = () => {
    const status = document.querySelector("[data-testid=gallery] [data-image-id]")?.dataset.status;
    if (status && status !== window.statuses.at(-1)) window.statuses.push(status);
  };
  new MutationObserver(look).observe(document.body, {
    subtree: true, childList: true, attributes: true, attributeFilter: ["data-status"],
  });
}
"""


class Person:
    """A visitor, a member or an administrator in front of the page."""

    def __init__(self, name: str, context: BrowserContext, page: Page) -> None:
        self.name, self.context, self.page = name, context, page
        self.complaints: list[str] = []
        self._tolerated: list[re.Pattern[str]] = []
        self._photographs = 0
        context.on("console", self._heard)
        page.on("pageerror", self._failed)

    def __repr__(self) -> str:
        return f"<Person {self.name} at {self.page.url}, {len(self.complaints)} complaints>"

    @property
    def mine(self) -> Locator:
        """The panels of the member's own wall."""
        return self.at("gallery").get_by_test_id("panel")

    @property
    def public(self) -> Locator:
        """The panels of the public wall."""
        return self.at("public-gallery").get_by_test_id("panel")

    @property
    def connection(self) -> Locator:
        """The banner that appears while the connection is lost."""
        return self.at("connection")

    def at(self, testid: str) -> Locator:
        """The element with this test id."""
        return self.page.get_by_test_id(testid)

    def tolerates(self, *patterns: str) -> None:
        """What the browser may print from here on."""
        self._tolerated += map(re.compile, patterns)

    async def visit(self, url: str) -> None:
        """Open the page; it is live when this returns."""
        await self.page.goto(url)
        await expect(self.connection).to_have_attribute("data-state", "open")

    async def go(self, name: str) -> None:
        """Follow a link of the page, without loading anew."""
        await self.page.get_by_role("link", name=name, exact=True).click()

    async def sign_in(self, *, balance: int = 10) -> None:
        """One click under the person's own name; the account is there, with this balance, when this returns."""
        await self.at("sign-in-name").fill(self.name)
        await self.at("sign-in").click()
        await self.has_credits(balance)

    async def pick(self, *files: FilePayload) -> None:
        """Choose files with the file input."""
        await self.at("file-input").set_input_files(files)

    async def open_picture(self, panel: Locator) -> Locator:
        """Look at one picture large; what can be done with it is in what this returns."""
        await panel.get_by_role("button").click()
        await expect(self.at("image-modal")).to_be_visible()
        return self.at("image-modal")

    async def close_picture(self) -> None:
        """Back to the wall."""
        await self.page.keyboard.press("Escape")
        await expect(self.at("image-modal")).to_have_count(0)

    async def has_credits(self, balance: int) -> None:
        """Wait until the badge shows this balance."""
        await expect(self.at("credits")).to_have_attribute("data-credits", str(balance))

    async def has_drawn(self, count: int) -> None:
        """Wait until the wall shows this many finished pictures, the newest loaded."""
        await expect(self.at("gallery").locator("[data-status=completed]")).to_have_count(count)
        await expect(self.mine).to_have_count(count)
        await is_loaded(self.mine.first)

    async def is_away(self) -> None:
        """Wait until the page says that it has lost the server, calmly."""
        await expect(self.connection).to_have_attribute("data-visible", "true")
        await expect(self.connection).to_contain_text("Reconnecting")

    async def is_back(self) -> None:
        """Wait until the page is live again."""
        await expect(self.connection).to_have_attribute("data-state", "open")
        await expect(self.connection).to_have_text("")

    async def mark(self) -> None:
        """Leave a mark that a navigation would wipe away, and write down each status of the newest panel."""
        await self.page.evaluate(WATCH_STATUSES)

    async def seen_statuses(self) -> list[str]:
        """The statuses since `mark`. Fails when the page was loaded anew in between."""
        seen = await self.page.evaluate("window.statuses ?? null")
        assert isinstance(seen, list), f"{self.name}'s page was loaded anew"
        return [str(status) for status in seen]

    async def photograph(self, folder: Path, scene: str) -> None:
        """Keep what the person sees, for whoever looks at the run."""
        self._photographs += 1
        await self.page.bring_to_front()  # a tab behind another one may never be painted
        await self.page.screenshot(path=folder / f"{scene}-{self.name}-{self._photographs}.png")

    def unexpected(self) -> list[str]:
        """The complaints that no test announced."""
        return [text for text in self.complaints if not any(each.search(text) for each in self._tolerated)]

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _failed(self, error: Error) -> None:
        self.complaints.append(f"uncaught: {error.stack or error.message}")


class Invite(Protocol):
    """Brings somebody by name, with an empty profile."""

    async def __call__(self, name: str, window: tuple[int, int] = ...) -> Person:
        """Somebody in front of an empty page."""
        ...


async def is_loaded(within: Locator) -> None:
    """Wait until the picture in here has arrived and can be seen."""
    picture = within.locator("img.picture-real.is-in").first
    await expect(picture).to_be_visible()
    assert await picture.evaluate("(image) => image.naturalWidth") > 0
