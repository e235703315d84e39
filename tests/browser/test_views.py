"""Every view, narrow and dark, wide and light: nothing shuts anybody out, nothing is scrolled sideways, little is loaded."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, Page, expect

from schema.blobs import Blob
from schema.deliveries import ParkedOrder
from schema.images import Image
from schema.system import Job, Vitals
from schema.values import Id, Scalar, hours
from server.ids import capability_id
from tests.browser.conftest import ARTIFACTS
from tests.browser.person import PATIENCE_MS, Invite
from tests.scenarios.stock import give, now, original_of, put, result_of
from tests.support.page import WEB
from tests.support.pictures import webp
from tests.support.world import World, open_world

MAX_SCRIPT_BYTES: Final = 200_000
AXE: Final = WEB / "node_modules" / "axe-core" / "axe.min.js"
LOOK: Final = """
async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return {
    sideways: document.documentElement.scrollWidth - innerWidth,
    found: violations.filter(({ impact }) => impact === "serious" || impact === "critical")
      .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${target} ${failureSummary}`)),
  };
}
"""
SCRIPTS: Final = """
performance.getEntriesByType("resource").filter(({ name }) => name.endsWith(".js"))
  .map(({ name, encodedBodySize }) => [name, encodedBodySize])
"""
ROOMS: Final = ("", "review", "wall", "members", "orders", "jobs", "operations", "audit", "settings")
ORDER: Final = '{"id":"order_of_nobody","status":"paid","created_at":"2026-11-01T12:00:00Z","net_amount":500}'
SIGNED_IN: Final = "(name) => localStorage.setItem('anime-leak.subject', name)"


class Sights:
    """Somebody who goes from view to view in one window and writes down what is wrong."""

    def __init__(self, page: Page, world: World, look: str) -> None:
        self.page, self._world, self._look = page, world, look
        self.found: list[str] = []

    async def see(self, address: str, name: str, sight: str = "main") -> None:
        """Go there, wait until it is there, and look."""
        await self.page.goto(f"{self._world.url}{address}")
        await expect(self.page.get_by_test_id("connection")).to_have_attribute("data-state", "open")
        await expect(self.page.locator(sight).first).to_be_visible()
        await expect(self.page.locator(".spinner")).to_have_count(0)
        await self.look(name)

    async def look(self, name: str) -> None:
        """Look at what is there now."""
        await self.page.screenshot(path=ARTIFACTS / f"view-{self._look}-{name}.png")
        await self.page.evaluate(AXE.read_text())
        seen = await self.page.evaluate(LOOK)
        if seen["sideways"] > 0:
            self.found.append(f"{self._look}, {name}: {seen['sideways']} px too wide")
        self.found += [f"{self._look}, {name}: {each}" for each in seen["found"]]


async def furnish(world: World) -> Id[Image]:
    """Drawings of Mia's, public and hidden and failed, and something for the administrator to do; one that is shared."""
    content, blob_id = webp(640, 480), capability_id()
    size, sha256 = await world.runtime.vault.put(blob_id, content, "image/webp")
    await put(
        world,
        Blob(
            kind="result", owner="Mia", content_type="image/webp", size=size, sha256=sha256, width=640, height=480,
            placeholder="", uploaded_size=size, uploaded_content_type="image/webp", created_at=now(), claimed_at=now(),
            id=Id(blob_id),
        ),
    )  # fmt: skip
    await give(world, "Mia", 3)
    moment = now()
    size_of: dict[str, Scalar] = {
        "body": blob_id, "original_width": 640, "original_height": 480, "content_type": "image/webp",
    }  # fmt: skip
    featured: dict[str, Scalar] = {"is_featured": True, "featured_at": moment}
    disabled: dict[str, Scalar] = {"is_disabled_by_admin": True, "disabled_by_admin_reason": "It shows a neighbour"}
    shared, *_ = await put(
        world,
        *(result_of("Mia", moment - 60_000 * age, **size_of, **featured) for age in range(3)),
        result_of("Mia", moment, **size_of, **featured, **disabled),
        result_of("Mia", moment - 1, **size_of),
        original_of("Mia", moment, generation_status="failed", generation_error="The model would not draw it."),
    )
    await put(
        world,
        ParkedOrder(
            order_id="order_of_nobody", reason="buyer_unknown", amount_cents=500, currency="usd", created_at=moment,
            credits=420, customer_email="somebody@example.com", order=ORDER,
        ),
    )  # fmt: skip
    await put(
        world,
        Job(
            kind="create_checkout", subject=capability_id(), arguments="{}", state="dead", attempt=4, max_attempts=4,
            due_at=moment, created_at=moment, settled_at=moment, reason="Polar did not answer.",
        ),
    )  # fmt: skip
    await put(
        world,
        Vitals(
            role="web", version="0.1.0", started_at=moment - hours(30), seen_at=moment + hours(1), sockets=12_345,
            live_queries=40_321, answers=9_876, jobs_running=0, feed_lag=3.0, push_p50=18.0, push_p99=1_240.0,
            resident_bytes=742_000_000, expires_at=moment + hours(2), id=Id("web-7f9c4d5b6-x2x9k-31415-a1b2c3"),
        ),
    )  # fmt: skip
    return shared.id


async def test_every_view_is_for_everybody(browser: Browser, mongod_uri: str) -> None:
    async with open_world(mongod_uri, ADMIN_USER_IDS="Root") as world:
        shared = await furnish(world)
        narrow, wide = await asyncio.gather(
            tour(browser, world, shared, "narrow", 360, 740, "dark"),
            tour(browser, world, shared, "wide", 1280, 900, "light"),
        )
    assert narrow + wide == []


async def tour(
    browser: Browser, world: World, shared: str, look: str, width: int, height: int, scheme: str
) -> list[str]:
    """All views in one window, as a visitor, a member and an administrator."""
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        bypass_csp=True,  # for axe alone: the story is told under the policy
    )
    context.set_default_timeout(PATIENCE_MS)
    sights = Sights(await context.new_page(), world, look)
    page = sights.page
    await sights.see("/", "landing", "[data-testid=panel]")
    await sights.see("/gallery", "gallery", "[data-testid=panel]")
    await page.get_by_test_id("panel").first.get_by_role("button").click()
    await sights.look("public-picture")
    await sights.see(f"/share/{shared}", "share", "[data-testid=shared-image]")
    await sights.see("/share/nothing", "share-nothing")
    await sights.see("/nowhere", "nowhere")
    await sights.see("/credits", "credits-visitor", "[data-testid=sign-in]")
    await sights.see("/admin", "admin-visitor", "[data-testid=admin-outside]")

    await page.evaluate(SIGNED_IN, "Mia")
    await sights.see("/", "studio", "[data-testid=failed-image]")
    await page.get_by_test_id("gallery").get_by_role("button").first.click()
    await sights.look("picture")
    await sights.see("/credits", "credits", "[data-testid=entry]")
    await page.get_by_test_id("get-credits").click()
    await sights.look("purchase")
    await sights.see("/admin", "admin-member", "[data-testid=admin-outside]")

    await page.evaluate(SIGNED_IN, "Root")
    for room in ROOMS:
        await sights.see(f"/admin/{room}".rstrip("/"), f"admin-{room or 'overview'}", "[data-testid=admin] h1")
    await sights.see("/admin/review", "admin-review", "[data-testid=stage]")
    await page.keyboard.press("r")
    await expect(page.get_by_test_id("reason")).to_be_focused()
    await sights.look("admin-reason")
    await context.close()
    return sights.found


async def test_the_first_load_is_light(world: World, invite: Invite, built_page: Path) -> None:
    vera = await invite("Vera")
    await vera.visit(world.url)
    scripts: list[list[object]] = await vera.page.evaluate(SCRIPTS)
    sizes = {str(name).rpartition("/")[2]: int(str(size)) for name, size in scripts}
    assert sizes
    assert sum(sizes.values()) < MAX_SCRIPT_BYTES, sizes
    assert not [name for name in sizes if name.startswith("admin")], "only who goes there loads it"
    assert sum(sizes.values()) < sum((built_page / "assets" / name).stat().st_size for name in sizes), "compressed"
