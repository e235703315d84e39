"""A photo that the model will not draw: its owner reads why, has the credit back, and draws it after all."""

from __future__ import annotations

import re

from playwright.async_api import FilePayload, expect

from tests.browser.conftest import ARTIFACTS
from tests.browser.person import LOST_SOCKET, Invite
from tests.support.gemini import blocked, gemini_site
from tests.support.pictures import jpeg
from tests.support.world import open_world

PHOTO = FilePayload(name="photo.jpg", mimeType="image/jpeg", buffer=jpeg(320, 240))


async def test_what_was_refused_is_told_and_can_be_tried_again(mongod_uri: str, invite: Invite) -> None:
    async with (
        gemini_site() as model,
        open_world(mongod_uri, GEMINI_API_KEY="key", GEMINI_BASE_URL=model.url) as world,
    ):
        model.will(blocked("SAFETY"))
        erin = await invite("Erin")
        await erin.visit(world.url)
        await erin.sign_in()
        await erin.pick(PHOTO)
        card = erin.at("failed-image")
        await expect(card).to_contain_text(re.compile(r"[a-z]{3}.*\."))
        await expect(card).not_to_contain_text("SAFETY")
        await erin.has_credits(10)
        await erin.photograph(ARTIFACTS, "refused")
        await card.get_by_test_id("retry-original").click()
        await erin.has_drawn(1)
        await expect(card).to_have_count(0)
        await erin.has_credits(9)
        erin.tolerates(LOST_SOCKET)  # the house closes before the browser does
