"""A machine's clock jumps by an hour, there and back: what was promised by the hour ends or waits, and nothing counts twice."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from schema.values import Millis, hours, minutes
from server import issuers, runtime
from server.runtime import clock
from tests.scenarios.stock import paged
from tests.scenarios.test_credits import check_books
from tests.support.live import Gone, LiveClient, Screen, world_client
from tests.support.pictures import jpeg
from tests.support.world import World, open_world

LEFT = 7
"""Of the trial's ten credits, after three photos."""


class JumpingClock:
    """This machine's clock, and how far it is off."""

    def __init__(self) -> None:
        self.off: Millis = 0.0

    def __call__(self) -> Millis:
        return clock() + self.off


@pytest.fixture
async def jumping(monkeypatch: pytest.MonkeyPatch) -> JumpingClock:
    made = JumpingClock()
    monkeypatch.setattr(runtime, "clock", made)
    monkeypatch.setattr(issuers, "clock", made)
    return made


@pytest.fixture
async def place(mongod_uri: str, jumping: JumpingClock) -> AsyncIterator[World]:
    async with open_world(mongod_uri) as opened:
        yield opened


async def drawn(person: LiveClient) -> Screen:
    """Have one more photo drawn; the gallery that shows it."""
    gallery = await person.watch("images:getGalleryImagesPaginated", **paged())
    before = sum(bool(each.get("isGenerated")) for each in gallery.value["page"])
    await person.photo()
    await gallery.until(lambda value: sum(bool(each.get("isGenerated")) for each in value["page"]) == before + 1)
    return gallery


async def test_an_hour_ahead_and_an_hour_back(place: World, jumping: JumpingClock) -> None:
    async with world_client(place, "ana") as ana:
        await ana.mutation("users:ensureUser")
        gallery = await drawn(ana)
        address = await ana.mutation("images:generateUploadUrl")

        jumping.off = hours(1) + minutes(2)
        late = await ana.http.post(address, content=jpeg(), headers={"Content-Type": "image/jpeg"})
        assert late.status_code in (401, 403), "an upload link is good for an hour"
        assert "Traceback" not in late.text
    async with world_client(place, "ana") as again:  # with a token of now: the old one has expired, too
        await drawn(again)
        from_ahead = await place.token("ana")

        jumping.off = -hours(1)
        with pytest.raises(Gone, match="not valid yet"):
            async with world_client(place, "ana", token=from_ahead) as early:
                await early.watch("users:getCurrentUserCredits")
    async with world_client(place, "ana") as back:
        await drawn(back)
        balance = await back.watch("users:getCurrentUserCredits")
        assert balance.value["credits"] == LEFT
        await check_books(place, "ana", LEFT)
        positions = [step.version.ts for person in (ana, again, back) for step in person.steps]
        assert positions == sorted(positions), "the time that clients are shown is the database's"
    assert len(gallery.values[-1]["page"]) == 1
