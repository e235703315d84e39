"""Photos that are pasted, and photos that are taken with the camera."""

from __future__ import annotations

import base64
from typing import Final

from playwright.async_api import expect

from tests.browser.person import Invite
from tests.support.pictures import jpeg
from tests.support.world import World

PASTE: Final = """
(base64) => {
  const carried = new DataTransfer();
  const bytes = Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
  carried.items.add(new File([bytes], "pasted.jpg", { type: "image/jpeg" }));
  document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carried, bubbles: true }));
}
"""


async def test_pasted_and_taken_with_the_camera(world: World, invite: Invite) -> None:
    nils = await invite("Nils")
    await nils.visit(world.url)
    await nils.sign_in()
    await nils.page.evaluate(PASTE, base64.b64encode(jpeg(320, 240)).decode())
    await nils.has_drawn(1)
    await nils.at("camera").click()
    await expect(nils.at("shutter")).to_be_enabled()
    await nils.at("shutter").click()
    await nils.at("use-shot").click()
    await nils.has_drawn(2)
    await nils.has_credits(8)
