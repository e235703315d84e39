"""What a page owes everybody: the keyboard, every kind of photo, a sentence when something is wrong, honesty about money."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Final

from playwright.async_api import FileChooser, FilePayload, Locator, Page, expect

from schema.billing import BILLING_SETTINGS_ID, BillingSettings
from schema.writer import Writer
from tests.browser.person import PATIENCE_MS, Invite, Person
from tests.support.pictures import heic, jpeg, not_a_picture
from tests.support.world import World

SMALL: Final = FilePayload(name="small.jpg", mimeType="image/jpeg", buffer=jpeg(320, 240))
MAX_TABS: Final = 25
PACK: Final = 420
ANSWERED_BADLY: Final = r"the server responded with a status of 4\d\d"
"""What Chromium itself prints about any refused request; the page says it in words."""
DROP: Final = """
(files) => {
  const carried = new DataTransfer();
  for (const { name, type, base64 } of files)
    carried.items.add(new File([Uint8Array.from(atob(base64), (each) => each.charCodeAt(0))], name, { type }));
  for (const kind of ["dragenter", "dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true }));
}
"""


async def test_the_keyboard_is_enough(world: World, invite: Invite) -> None:
    erin = await invite("Erin")
    # Asked for early: a browser that was told late to hand over its dialog might open it instead.
    choosing: asyncio.Future[FileChooser] = asyncio.get_running_loop().create_future()
    erin.page.on("filechooser", lambda chooser: choosing.set_result(chooser))
    await erin.visit(world.url)
    await _tab_to(erin, erin.at("sign-in-name"))
    await erin.page.keyboard.press("ControlOrMeta+a")
    await erin.page.keyboard.type("Erin")
    await _tab_to(erin, erin.at("sign-in"))
    await erin.page.keyboard.press("Enter")
    await erin.has_credits(10)
    await _tab_to(erin, erin.at("pick"))
    await erin.page.keyboard.press("Enter")
    async with asyncio.timeout(PATIENCE_MS / 1_000):
        await (await choosing).set_files([SMALL])
    await erin.has_drawn(1)

    opener = erin.mine.first.get_by_role("button")
    await _tab_to(erin, opener)
    await erin.page.keyboard.press("Enter")
    await expect(erin.at("image-modal")).to_be_visible()
    await _tab_to(erin, erin.at("feature"))
    await erin.page.keyboard.press("Space")
    await expect(erin.at("feature-request")).to_have_attribute("data-standing", "featured")
    await erin.page.keyboard.press("Escape")
    await expect(erin.at("image-modal")).to_have_count(0)
    await expect(opener).to_be_focused()


async def test_every_kind_of_photo_and_what_is_none(world: World, invite: Invite) -> None:
    gina = await invite("Gina")
    gina.tolerates(ANSWERED_BADLY)
    await gina.visit(world.url)
    await gina.sign_in()
    await gina.pick(FilePayload(name="IMG_0001.HEIC", mimeType="", buffer=heic(320, 240, orientation=6)))
    await gina.has_drawn(1)
    photo = base64.b64encode(SMALL["buffer"]).decode()
    await gina.page.evaluate(DROP, [{"name": f"{each}.jpg", "type": "image/jpeg", "base64": photo} for each in "ab"])
    await gina.has_drawn(3)
    await gina.has_credits(7)

    await gina.pick(FilePayload(name="holiday.jpg", mimeType="image/jpeg", buffer=not_a_picture()))
    await expect(gina.at("upload-state")).to_have_text("That photo cannot be opened. It may be damaged.")
    # This browser cannot look into a HEIC, so the server is the one who finds out.
    await gina.pick(FilePayload(name="holiday.heic", mimeType="image/heic", buffer=not_a_picture()))
    await expect(gina.at("upload-state").last).to_contain_text("we take JPEG")
    await expect(gina.at("retry")).to_have_count(0)
    for left in (1, 0):
        await gina.at("dismiss").first.click()
        await expect(gina.at("upload")).to_have_count(left)
    await gina.go("7 credits, to the history")
    await expect(gina.at("history").get_by_test_id("entry")).to_have_count(4)


async def test_declining_buying_and_a_refund_are_said_as_they_are(world: World, invite: Invite) -> None:
    async def give_nothing(db: Writer) -> None:
        await db.insert(BillingSettings(id=BILLING_SETTINGS_ID, free_trial_credits=0))

    await world.runtime.database.transact(give_nothing)
    yan = await invite("Yan")
    await yan.visit(world.url)
    await yan.sign_in(balance=0)
    await expect(yan.at("credits")).to_have_attribute("data-variant", "destructive")
    await yan.at("credits").click()
    till = await _go_to_pay(yan, "buy")
    await till.get_by_test_id("decline").click()
    await expect(till.get_by_test_id("stamp")).to_have_text("Closed")
    await expect(yan.at("shop")).to_have_attribute("data-state", "failed")
    await expect(yan.at("purchase")).to_contain_text("Nothing was charged")
    await till.close()

    till = await _go_to_pay(yan, "buy-again")
    address = till.url
    await till.get_by_test_id("pay").click()
    await yan.has_credits(PACK)
    await expect(yan.at("shop")).to_have_attribute("data-state", "completed")
    await till.goto(address)
    await till.get_by_test_id("refund-half").click()
    await yan.has_credits(PACK // 2)
    await till.get_by_test_id("refund-all").click()
    await expect(till.get_by_test_id("stamp")).to_have_text("Refunded")
    await yan.has_credits(0)
    await till.close()


async def test_who_is_no_administrator_is_told_so_until_they_are(world: World, invite: Invite) -> None:
    otto, root = await invite("Otto"), await invite("Root")
    await world.runtime.make_admin("Root")
    for person in (otto, root):
        await person.visit(world.url)
        await person.sign_in()
        await person.page.goto(f"{world.url}/admin/members")
        await person.mark()
    await expect(otto.at("admin-outside")).to_contain_text("you are not an administrator")
    await expect(otto.at("admin")).to_have_count(0)
    row = root.page.locator("[data-user-id=Otto]")
    await row.get_by_test_id("adjust").click()
    await expect(root.at("amount")).to_be_focused()
    await root.at("amount").fill("-4")
    await root.at("reason").fill("A slip")
    await root.page.keyboard.press("Enter")
    await expect(row.get_by_test_id("balance")).to_have_text("6")
    await otto.has_credits(6)

    await row.get_by_role("button", name="Make administrator").click()
    await expect(otto.page.locator("[data-user-id=Root]")).to_be_visible()
    await row.get_by_role("button", name="Revoke role").click()
    await expect(otto.at("admin-outside")).to_be_visible()
    await expect(otto.at("admin")).to_have_count(0)
    await otto.seen_statuses()


async def _go_to_pay(person: Person, button: str) -> Page:
    """From the shop to the payment page, which opens in a tab of its own."""
    async with person.context.expect_page() as opening:
        await person.at(button).click()
    till: Page = await opening.value
    await till.wait_for_url(re.compile("/dev/checkout/"))
    return till


async def _tab_to(person: Person, target: Locator) -> None:
    """Press Tab until the target has the focus, which it must within a reasonable number of stops."""
    for _ in range(MAX_TABS):
        await person.page.keyboard.press("Tab")
        if await target.evaluate("(node) => node === document.activeElement"):
            return
    raise AssertionError(f"the keyboard does not reach {target}")
