"""The whole story, in real browsers: two members, a visitor and an administrator at once, and nobody ever loads a page anew."""

from __future__ import annotations

import re
from typing import Final

import httpx
from playwright.async_api import FilePayload, Locator, Page, expect

from tests.browser.conftest import ARTIFACTS, House
from tests.browser.person import LOST_SOCKET, Invite, Person, is_loaded
from tests.support.proxy import Proxy
from tests.support.scenes import fruit, landscape, portrait

PACK: Final = 420
PORTRAIT: Final = FilePayload(name="portrait.jpg", mimeType="image/jpeg", buffer=portrait(600, 800))
LANDSCAPE: Final = FilePayload(name="landscape.jpg", mimeType="image/jpeg", buffer=landscape(800, 600))
FRUIT: Final = FilePayload(name="fruit.jpg", mimeType="image/jpeg", buffer=fruit(640, 480))
NOT_FOUND: Final = r"the server responded with a status of 404"
"""What Chromium itself prints when a page that is there says so with 404, as a share page whose link has ended does."""
SOON_HOURS: Final = 3 / 3_600


async def test_the_whole_story(house: House, invite: Invite) -> None:
    url = house.settings.public_url
    root, vera, ana, ben = [await invite(name) for name in ("Root", "Vera", "Ana", "Ben")]
    everybody = (root, vera, ana, ben)
    for person in everybody:
        person.tolerates(LOST_SOCKET)
    async with Proxy(house.settings.port) as wire:
        await root.visit(url)
        await root.sign_in()
        await root.page.goto(f"{url}/admin/settings")
        await vera.visit(f"{url}/gallery")
        await ana.visit(wire.url)
        await ben.visit(url)
        for person in everybody:
            await person.mark()

        await _administrator_sets_the_rules(root, newcomers_get=1)
        await expect(vera.at("public-empty")).to_be_visible()
        await _first_photo_is_drawn_while_one_looks(ana)
        await _without_credits_one_buys_some_and_the_photo_goes_on(ana)
        await _the_network_goes_and_comes(ana, wire)
        address = await _a_picture_is_featured_and_let_onto_the_wall(ana, root, vera)
        await ben.sign_in(balance=1)
        await _the_server_restarts(house, everybody)
        await ben.pick(FRUIT)
        await ben.has_drawn(1)
        await ben.has_credits(0)
        await _a_moderator_hides_it_and_shows_it_again(ana, root, vera)
        await _a_link_is_shared_and_ends(ana, vera, house)
        await _a_picture_is_deleted(ana, vera, f"{url}{address}")
        await _everything_is_in_the_audit_log(root)
        for person in everybody:
            await person.seen_statuses()


async def _administrator_sets_the_rules(root: Person, *, newcomers_get: int) -> None:
    await expect(root.at("require-approval")).to_have_attribute("aria-checked", "false")
    await root.at("require-approval").click()
    await expect(root.at("require-approval")).to_have_attribute("aria-checked", "true")
    await root.at("trial").fill(str(newcomers_get))
    await root.at("save-billing").click()
    await expect(root.at("billing")).to_contain_text("Saved by Root")


async def _first_photo_is_drawn_while_one_looks(ana: Person) -> None:
    await ana.sign_in(balance=1)
    await ana.pick(PORTRAIT)
    await expect(ana.mine).to_have_count(1)
    panel = await ana.mine.element_handle()
    await ana.has_credits(0)
    await ana.has_drawn(1)
    statuses = await ana.seen_statuses()
    assert statuses[0] in {"pending", "processing"}
    assert statuses[-1] == "completed"
    assert await panel.evaluate("(node) => document.contains(node)"), "the drawing takes over the photo's own panel"
    await expect(ana.at("upload")).to_have_count(0)


async def _without_credits_one_buys_some_and_the_photo_goes_on(ana: Person) -> None:
    await ana.pick(LANDSCAPE)
    await expect(ana.at("upload")).to_have_attribute("data-state", "waiting")
    if not await ana.at("purchase").is_visible():
        await ana.at("get-credits").click()
    async with ana.context.expect_page() as opening:
        await ana.at("buy").click()
    till: Page = await opening.value
    await till.wait_for_url(re.compile("/dev/checkout/"))
    await expect(till.get_by_test_id("pack")).to_have_text(f"{PACK} credits")
    await till.screenshot(path=ARTIFACTS / "story-till.png")
    await till.get_by_test_id("pay").click()
    await till.wait_for_url(re.compile("/credits"))
    await expect(till.get_by_test_id("payments")).to_contain_text("Paid")
    await till.close()
    await expect(ana.at("shop")).to_have_attribute("data-state", "completed")
    await ana.photograph(ARTIFACTS, "story-bought")
    await ana.page.keyboard.press("Escape")
    await ana.has_drawn(2)
    await ana.has_credits(PACK - 1)


async def _the_network_goes_and_comes(ana: Person, wire: Proxy) -> None:
    wire.unplug()
    await ana.is_away()
    await ana.has_drawn(2)
    await ana.has_credits(PACK - 1)
    await ana.pick(FRUIT)
    await expect(ana.at("upload")).to_have_count(1)
    await ana.photograph(ARTIFACTS, "story-away")
    wire.plug()
    await ana.is_back()
    await ana.has_drawn(3)
    await ana.has_credits(PACK - 2)
    # The answer to this one is cut off on its way, so it is asked twice and must count once.
    modal = await ana.open_picture(ana.mine.first)
    wire.hold()
    await modal.get_by_test_id("sharing").click()
    await wire.holding()
    wire.cut()
    await ana.is_back()
    await expect(modal.get_by_test_id("sharing")).to_have_attribute("aria-checked", "false")
    await modal.get_by_test_id("sharing").click()
    await expect(modal.get_by_test_id("share-url")).to_be_visible()
    await ana.close_picture()


async def _a_picture_is_featured_and_let_onto_the_wall(ana: Person, root: Person, vera: Person) -> str:
    await root.go("Review")
    await expect(root.page.get_by_role("heading", name="All looked at")).to_be_visible()
    modal = await ana.open_picture(ana.mine.last)
    address = await modal.locator("img.picture-real").get_attribute("src")
    await modal.get_by_test_id("feature").click()
    await expect(root.at("stage")).to_be_visible()
    await expect(vera.at("public-empty")).to_be_visible()
    await expect(ana.at("feature-request")).to_have_attribute("data-standing", "featured")
    await ana.photograph(ARTIFACTS, "story-featured")
    await ana.close_picture()
    await root.photograph(ARTIFACTS, "story-review")
    await root.page.keyboard.press("a")
    await expect(root.page.get_by_role("heading", name="All looked at")).to_be_visible()
    await expect(vera.public).to_have_count(1)
    await is_loaded(vera.public.first)
    await vera.photograph(ARTIFACTS, "story-wall")
    assert address is not None
    return address


async def _the_server_restarts(house: House, everybody: tuple[Person, ...]) -> None:
    await house.close()
    for person in everybody:
        await person.is_away()
    await house.open()
    for person in everybody:
        await person.is_back()


async def _a_moderator_hides_it_and_shows_it_again(ana: Person, root: Person, vera: Person) -> None:
    await root.go("The wall")
    await expect(root.at("stage")).to_be_visible()
    await root.page.keyboard.press("?")
    await expect(root.at("keys")).to_be_visible()
    await root.page.keyboard.press("Escape")
    await root.page.keyboard.press("d")
    await expect(root.at("reason")).to_be_focused()
    await root.page.keyboard.type("It shows my neighbour")
    await root.page.keyboard.press("Enter")
    await expect(root.at("enable")).to_be_visible()
    await expect(vera.public).to_have_count(0)
    modal = await ana.open_picture(ana.mine.last)
    await expect(modal).to_contain_text("It shows my neighbour")
    await root.page.keyboard.press("e")
    await expect(modal.get_by_test_id("feature-request")).to_have_attribute("data-standing", "featured")
    await expect(vera.public).to_have_count(1)
    await ana.close_picture()


async def _a_link_is_shared_and_ends(ana: Person, vera: Person, house: House) -> None:
    modal = await ana.open_picture(ana.mine.first)
    link = await modal.get_by_test_id("share-url").input_value()
    await ana.close_picture()
    there = await vera.context.new_page()
    await there.goto(link)
    await is_loaded(there.get_by_test_id("shared-image"))
    assert await there.title() != "Anime Leak", "the server wrote the picture's own title"
    # The page offers an hour and more; another client of hers makes it seconds.
    url = house.settings.public_url
    async with httpx.AsyncClient(base_url=url) as http:
        token = (await http.post("/dev/token", json={"subject": ana.name})).json()["token"]
        args = {"imageId": link.rpartition("/")[2], "sharingEnabled": True, "expirationHours": SOON_HOURS}
        body = {"path": "images:updateShareSettings", "args": args}
        await http.post("/api/mutation", json=body, headers={"Authorization": f"Bearer {token}"})
    await expect(there.get_by_role("heading", name="This picture has dried up")).to_be_visible()
    vera.tolerates(NOT_FOUND)
    await there.goto(link)
    await expect(there.get_by_role("heading", name="This picture has dried up")).to_be_visible()
    await there.close()


async def _a_picture_is_deleted(ana: Person, vera: Person, address: str) -> None:
    modal = await ana.open_picture(ana.mine.last)
    await modal.get_by_test_id("delete").click()
    await expect(ana.mine).to_have_count(2)
    await _undo(ana.at("toast"))
    await expect(ana.mine).to_have_count(3)
    modal = await ana.open_picture(ana.mine.last)
    await modal.get_by_test_id("delete").click()
    await expect(vera.public).to_have_count(0)
    await expect(ana.mine).to_have_count(2)
    async with httpx.AsyncClient() as http:
        assert (await http.get(address)).status_code == httpx.codes.NOT_FOUND
    await ana.has_credits(PACK - 2)


async def _undo(toast: Locator) -> None:
    await toast.filter(has_text="deleted").get_by_role("button", name="Undo").click()


async def _everything_is_in_the_audit_log(root: Person) -> None:
    await root.go("Audit log")
    rows = root.at("audit").locator("[data-action]")
    await expect(rows).to_have_count(5)
    deeds = [await each.get_attribute("data-action") for each in await rows.all()]
    assert deeds == ["image.enabled", "image.disabled", "image.approved", "billing.changed", "moderation.changed"]
    await expect(rows.nth(1)).to_contain_text("It shows my neighbour")
