"""What a page owes everybody: the keyboard, every kind of photo, and a sentence when something is wrong."""

from __future__ import annotations

import base64
import re
from typing import Final

from playwright.async_api import FilePayload, Locator, expect

from schema.billing import BILLING_SETTINGS_ID, BillingSettings
from schema.writer import Writer
from tests.browser.person import Invite, Person
from tests.support.pictures import heic, jpeg, not_a_picture
from tests.support.world import World

SMALL: Final = FilePayload(name="small.jpg", mimeType="image/jpeg", buffer=jpeg(320, 240))
MAX_TABS: Final = 25
ANSWERED_BADLY: Final = re.compile(r"the server responded with a status of 4\d\d")
"""What Chromium itself prints about any refused request; the page says it in words."""
WATCH_CARDS: Final = """
() => {
  window.busiest = { cards: 0, running: 0 };
  new MutationObserver(() => {
    const states = [...document.querySelectorAll("#tray [data-state]")].map(({ dataset }) => dataset.state);
    const running = states.filter((state) => state !== "queued").length;
    window.busiest.cards = Math.max(window.busiest.cards, states.length);
    window.busiest.running = Math.max(window.busiest.running, running);
  }).observe(document.querySelector("#tray"), { subtree: true, childList: true, attributes: true });
}
"""


async def test_the_keyboard_is_enough(world: World, invite: Invite) -> None:
    erin = await invite("Erin")
    await erin.visit(world.url)
    await _tab_to(erin, erin.at("sign-in-name"))
    await erin.page.keyboard.type("Erin")
    await _tab_to(erin, erin.at("sign-in"))
    await erin.page.keyboard.press("Enter")
    await erin.has_credits(10)
    await expect(erin.at("file-input")).to_be_focused()
    await erin.pick(SMALL)
    await erin.has_drawn(1)

    opener = erin.mine.first.get_by_role("button", name="Drawing from")
    await _tab_to(erin, opener)
    await erin.page.keyboard.press("Enter")
    await expect(erin.at("lightbox")).to_be_visible()
    await expect(erin.at("lightbox-close")).to_be_focused()
    async with erin.page.expect_download() as saved:
        await erin.at("lightbox").get_by_test_id("download").click()
    assert "/api/storage/" in (await saved.value).url
    await erin.page.keyboard.press("Escape")
    await expect(erin.at("lightbox")).to_be_hidden()
    await expect(opener).to_be_focused()

    await _tab_to(erin, erin.mine.first.get_by_test_id("delete"))
    await erin.page.keyboard.press("Enter")
    await expect(erin.at("confirm-no")).to_be_focused()
    await erin.page.keyboard.press("Escape")
    await expect(erin.at("confirm")).to_be_hidden()
    await expect(erin.mine).to_have_count(1)


async def test_a_phones_heic_becomes_a_drawing(world: World, invite: Invite) -> None:
    finn = await invite("Finn")
    await finn.visit(world.url)
    await finn.sign_in()
    await finn.pick(FilePayload(name="IMG_0001.HEIC", mimeType="", buffer=heic(320, 240, orientation=6)))
    await finn.has_drawn(1)
    await finn.has_credits(9)


async def test_a_broken_file_is_explained_and_costs_nothing(world: World, invite: Invite) -> None:
    gina = await invite("Gina")
    gina.tolerates = ANSWERED_BADLY
    await gina.visit(world.url)
    await gina.sign_in()
    await gina.pick(FilePayload(name="holiday.jpg", mimeType="image/jpeg", buffer=not_a_picture()))
    await expect(gina.at("upload-state")).to_have_text("That photo cannot be opened. It may be damaged.")
    # This browser cannot look into a HEIC, so the server is the one who finds out.
    await gina.pick(FilePayload(name="holiday.heic", mimeType="image/heic", buffer=not_a_picture()))
    await expect(gina.at("upload-state").last).to_contain_text("we take JPEG")
    await expect(gina.at("retry").filter(visible=True)).to_have_count(0)
    for _ in range(2):
        await gina.at("upload").first.get_by_role("button", name="Dismiss").click()
    await expect(gina.at("upload")).to_have_count(0)
    await gina.at("credits").click()
    await expect(gina.at("ledger").get_by_role("listitem")).to_have_count(1)
    await gina.has_credits(10)


async def test_dropped_files_wait_in_line(world: World, invite: Invite) -> None:
    hana = await invite("Hana")
    await hana.visit(world.url)
    await hana.sign_in()
    await hana.page.evaluate(WATCH_CARDS)
    photo = base64.b64encode(SMALL["buffer"]).decode()
    await hana.drop(*({"name": f"photo-{number}.jpg", "type": "image/jpeg", "base64": photo} for number in range(3)))
    await hana.has_drawn(3)
    await hana.has_credits(7)
    await expect(hana.at("upload")).to_have_count(0)
    assert await hana.page.evaluate("window.busiest") == {"cards": 3, "running": 1}


async def test_out_of_credits_is_a_sentence(world: World, invite: Invite) -> None:
    async def give_newcomers_one(db: Writer) -> None:
        await db.insert(BillingSettings(id=BILLING_SETTINGS_ID, free_trial_credits=1))

    await world.runtime.database.transact(give_newcomers_one)
    ivan = await invite("Ivan")
    await ivan.visit(world.url)
    await ivan.sign_in(balance=1)
    await expect(ivan.at("out-of-credits")).to_be_hidden()
    await ivan.pick(SMALL, SMALL)
    await expect(ivan.at("upload-state").filter(has_text="You are out of credits.")).to_be_visible()
    await expect(ivan.at("out-of-credits")).to_be_visible()
    await ivan.has_drawn(1)
    await ivan.has_credits(0)


async def _tab_to(person: Person, target: Locator) -> None:
    """Press Tab until the target has the focus, which it must within a reasonable number of stops."""
    for _ in range(MAX_TABS):
        await person.page.keyboard.press("Tab")
        if await target.evaluate("(node) => node === document.activeElement"):
            return
    raise AssertionError(f"the keyboard does not reach {target}")
