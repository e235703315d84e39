"""From the first visit to a picture on the public wall and away again, in real browsers, without one reload."""

from __future__ import annotations

import httpx
from playwright.async_api import FilePayload, expect

from tests.browser.person import Invite, is_loaded, use_tool
from tests.support.pictures import portrait
from tests.support.world import World


async def test_first_photo(world: World, invite: Invite) -> None:
    alice, passerby = await invite("Alice"), await invite("Passerby")
    await passerby.visit(world.url)
    await alice.visit(world.url)
    await expect(alice.page.get_by_role("heading", level=1)).to_have_text("Your photo is leaking anime")
    await expect(alice.at("file-input")).to_be_hidden()
    await expect(alice.at("public-gallery").get_by_text("Nothing has leaked yet")).to_be_visible()

    await alice.sign_in()
    await expect(alice.page.get_by_role("heading", level=1)).to_contain_text("Alice")
    await alice.mark()
    await passerby.mark()

    await alice.pick(FilePayload(name="portrait.jpg", mimeType="image/jpeg", buffer=portrait()))
    await expect(alice.mine).to_have_count(1)
    tile = await alice.mine.element_handle()
    await alice.has_credits(9)
    await alice.has_drawn(1)
    statuses = await alice.seen_statuses()
    assert statuses[0] in {"pending", "processing"}
    assert statuses[-1] == "completed"
    assert await tile.evaluate("(node) => document.contains(node)"), "the drawing takes over the photo's own tile"
    await expect(alice.at("upload")).to_have_count(0)
    await expect(alice.at("count")).to_have_text("1")
    await expect(alice.at("activity")).to_be_hidden()

    await use_tool(alice.mine.first, "feature")
    await expect(alice.mine.first.get_by_test_id("feature")).to_have_attribute("aria-pressed", "true")
    await expect(passerby.public).to_have_count(1)
    await passerby.public.first.scroll_into_view_if_needed()
    await is_loaded(passerby.public.first)
    address = await passerby.public.first.locator("img.tile-real").evaluate("(image) => image.src")

    await use_tool(alice.mine.first, "delete")
    await alice.at("confirm-yes").click()
    await expect(alice.mine).to_have_count(0)
    await expect(alice.public).to_have_count(0)
    await expect(passerby.public).to_have_count(0)
    async with httpx.AsyncClient() as http:
        assert (await http.get(str(address))).status_code == httpx.codes.NOT_FOUND
    await alice.has_credits(9)
    assert await alice.seen_statuses() == statuses
    assert await passerby.seen_statuses() == []
