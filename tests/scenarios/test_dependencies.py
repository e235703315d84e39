"""What answers depend on besides documents: who asks, and what time it is. Both are counted by executions.

Each world here has nobody in it but the people of its story, so that what runs, runs because of them.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from schema.images import Image
from schema.users import User
from schema.values import seconds
from server import roles
from server.functions.users import FREE_TRIAL
from tests.scenarios.stock import change, give, member, now, paged, put, result_of
from tests.support.http import http_client
from tests.support.mirror import mirror
from tests.support.world import World

VISITORS = 12
"""Enough for what they share to be fanned out."""
WAIT = seconds(4)
"""Until the end; a busy machine needs some of it for everybody to arrive."""
TRIAL = "users:getCurrentUserCredits"
LINK = "images:getImageById"


async def executions(world: World) -> int:
    """How many queries were run, as operators read it."""
    async with http_client() as http:
        text = (await http.get(f"{world.url}/metrics")).raise_for_status().text
    (line,) = [each for each in text.splitlines() if each.startswith("anime_query_executions_total ")]
    return int(line.split()[1])


# --- who asks --------------------------------------------------------------------------------------------------------


async def test_a_new_token_of_the_same_person_runs_nothing(world: World) -> None:
    async with mirror(world, "ana") as ana:
        await ana.watch(
            (TRIAL, {}), ("images:getGalleryImagesPaginated", paged()), ("images:getPublicGallery", paged())
        )
        before, shown, ran = ana.now, ana.now.shown, await executions(world)
        for identity in (2, 3, 4):
            await ana.claim(await world.token("ana"))
            await ana.becomes(identity)
            assert (ana.now.changed, ana.now.shown) == (frozenset(), shown)
            assert ana.now.ts >= before.ts
        assert await executions(world) == ran
        await ana.claim(await world.token("ben"))
        await ana.becomes(5)
        assert await executions(world) > ran, "somebody else is another matter"


async def test_losing_the_role_runs_exactly_what_looked_at_it(world: World) -> None:
    public, own, asked, books, link = range(5)
    screen = [
        ("images:getPublicGallery", paged()),
        (TRIAL, {}),
        ("admin:getAdminStatus", {}),
        ("admin:getBillingSettings", {}),
    ]
    (bens,) = await put(world, result_of("ben", now(), sharing_enabled=False))
    async with (
        mirror(world, "root", admin=True) as root,
        mirror(world, "second", admin=True) as second,
        mirror(world, "ana") as ana,
    ):
        watched = (*screen, (LINK, {"imageId": bens.id}))
        await asyncio.gather(root.watch(*watched), second.watch(*watched), ana.watch(*watched))
        assert root.now.value(asked) is True
        assert root.now.value(link)["userId"] == "ben"
        ran, steps, others = await executions(world), len(root.moments), (len(second.moments), len(ana.moments))

        assert await roles.revoke(world.runtime.database, "root")

        await root.until(lambda: len(root.moments) > steps)
        assert root.now.changed == {asked, books, link}
        assert (root.now.value(asked), root.now.value(link)) == (False, None)
        assert root.now.shown[books].startswith("!FORBIDDEN")
        assert await executions(world) == ran + 3
        assert (len(second.moments), len(ana.moments)) == others

        assert await roles.grant(world.runtime.database, "root")
        await root.shows(asked, lambda value: value is True)
        assert root.now.changed == {asked, books, link}
        assert root.now.value(books)["isDefault"] is True
        assert await executions(world) == ran + 6
        assert (len(root.moments), len(second.moments), len(ana.moments)) == (steps + 2, *others)
        assert root.now.value(public)["page"] == []
        assert root.now.value(own)["credits"] == 0


# --- what time it is -------------------------------------------------------------------------------------------------


async def test_a_link_and_a_trial_end_at_their_moment_for_everybody_at_once_and_nothing_runs_before(
    world: World,
) -> None:
    await give(world, "ana", 3)
    (image,) = await put(world, result_of("ana", now(), sharing_enabled=True))
    async with AsyncExitStack() as stack:
        visitors = [await stack.enter_async_context(mirror(world)) for _ in range(VISITORS)]
        tabs = [await stack.enter_async_context(mirror(world, "ana")) for _ in range(2)]
        moment = now() + WAIT
        await change(world, Image, image.id, share_expires_at=moment)
        await change(world, User, (await member(world, "ana")).id, created_at=moment - FREE_TRIAL)
        await asyncio.gather(
            *(each.watch((LINK, {"imageId": image.id})) for each in visitors),
            *(each.watch((TRIAL, {})) for each in tabs),
        )
        ran = await executions(world)
        assert all(each.now.value(0)["_id"] == image.id for each in visitors)
        assert all(each.now.value(0)["hasFreeTrial"] for each in tabs)
        assert now() < moment, "this machine was too slow for the story"

        await asyncio.gather(
            *(each.shows(0, lambda value: value is None) for each in visitors),
            *(each.shows(0, lambda value: not value["hasFreeTrial"]) for each in tabs),
        )

        assert now() >= moment
        assert await executions(world) == ran + 2, "one for all visitors, one for all of ana's screens"
        assert {len(each.moments) for each in (*visitors, *tabs)} <= {2, 3}
