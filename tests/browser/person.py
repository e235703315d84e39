"""One person at the page: a browser profile of its own, and everything that its console complained about.

Invariant: what a person does goes through the page, as a hand would do it; nothing here calls the server.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from playwright.async_api import BrowserContext, ConsoleMessage, Error, FilePayload, Locator, Page, expect

PATIENCE_MS: Final = 30_000.0
"""How long a busy machine may take over anything; nothing is faster or slower for it."""
REPORT_VIOLATIONS: Final = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI}`));
"""
WATCH_STATUSES: Final = """
() => {
  window.statuses = [];
  const look = () => {
    const status = document.querySelector("#gallery [data-image-id]")?.dataset.status;
    if (status && status !== window.statuses.at(-1)) window.statuses.push(status);
  };
  new MutationObserver(look).observe(document.querySelector("#gallery"), {
    subtree: true, childList: true, attributes: true, attributeFilter: ["data-status"],
  });
}
"""
DROP: Final = """
(files) => {
  const carried = new DataTransfer();
  for (const { name, type, base64 } of files)
    carried.items.add(new File([Uint8Array.from(atob(base64), (each) => each.charCodeAt(0))], name, { type }));
  for (const kind of ["dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true }));
}
"""


class Person:
    """A visitor or a member in front of the page."""

    def __init__(self, name: str, context: BrowserContext, page: Page) -> None:
        self.name, self.context, self.page = name, context, page
        self.complaints: list[str] = []
        self.tolerates: re.Pattern[str] | None = None
        page.on("console", self._heard)
        page.on("pageerror", self._failed)

    def __repr__(self) -> str:
        return f"<Person {self.name} at {self.page.url}, {len(self.complaints)} complaints>"

    @property
    def mine(self) -> Locator:
        """The tiles of the member's own gallery."""
        return self.page.locator("#gallery [data-image-id]")

    @property
    def public(self) -> Locator:
        """The tiles of the public gallery."""
        return self.page.locator("#public-gallery [data-image-id]")

    @property
    def connection(self) -> Locator:
        """The bar that appears while the connection is lost."""
        return self.at("connection")

    def at(self, testid: str) -> Locator:
        """The element with this test id."""
        return self.page.get_by_test_id(testid)

    async def visit(self, url: str) -> None:
        """Open the page; it is live when this returns."""
        await self.page.goto(url)
        await expect(self.connection).to_have_attribute("data-state", "open")

    async def sign_in(self, *, balance: int = 10) -> None:
        """One click under the person's own name; the account is there, with this balance, when this returns."""
        await self.at("sign-in-name").fill(self.name)
        await self.at("sign-in").click()
        await self.has_credits(balance)

    async def pick(self, *files: FilePayload) -> None:
        """Choose files with the file input."""
        await self.at("file-input").set_input_files(files)

    async def drop(self, *files: Mapping[str, str]) -> None:
        """Let files go over the page."""
        await self.page.evaluate(DROP, list(files))

    async def has_credits(self, balance: int) -> None:
        """Wait until the badge shows this balance."""
        await expect(self.at("credits")).to_have_text(f"{balance} {'credit' if balance == 1 else 'credits'}")

    async def has_drawn(self, count: int) -> None:
        """Wait until the gallery shows this many finished pictures, the newest loaded."""
        await expect(self.page.locator("#gallery [data-status=completed]")).to_have_count(count)
        await expect(self.mine).to_have_count(count)
        await is_loaded(self.mine.first)

    async def mark(self) -> None:
        """Leave a mark that a navigation would wipe away, and write down each status of the newest tile."""
        await self.page.evaluate(WATCH_STATUSES)

    async def seen_statuses(self) -> list[str]:
        """The statuses since `mark`. Fails when the page was loaded anew in between."""
        seen = await self.page.evaluate("window.statuses ?? null")
        assert isinstance(seen, list), "the page was loaded anew"
        return [str(status) for status in seen]

    def unexpected(self) -> list[str]:
        """The complaints that no test announced."""
        return [text for text in self.complaints if self.tolerates is None or not self.tolerates.search(text)]

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _failed(self, error: Error) -> None:
        self.complaints.append(f"uncaught: {error.stack or error.message}")


Invite = Callable[[str], Awaitable[Person]]
"""Brings somebody by name, with an empty profile."""


async def is_loaded(tile: Locator) -> None:
    """Wait until the picture in this tile has arrived and can be seen."""
    picture = tile.locator("img.tile-real.is-in")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("(image) => image.naturalWidth") > 0


async def use_tool(tile: Locator, testid: str) -> None:
    """Press one of the buttons that a tile shows under the pointer."""
    await tile.hover()
    await tile.get_by_test_id(testid).click()
