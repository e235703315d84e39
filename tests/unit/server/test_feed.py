"""The feed that the job loop and its leases look through: everybody who looks is told, however many look."""

from __future__ import annotations

import asyncio

from schema.images import Image
from schema.reader import Reader
from schema.values import Id
from schema.writer import Writer
from server.feed import HubFeed
from tests.support.world import World

DEADLINE_S = 10.0


async def test_a_later_look_takes_nothing_from_an_earlier_one(world: World) -> None:
    runtime = world.runtime
    feed = HubFeed(runtime.database, runtime.hub)

    async def anas(db: Reader) -> bool:
        return await db.exists(Image.by_user.eq(user_id="ana"))

    async def bens(db: Reader) -> bool:
        return await db.exists(Image.by_user.eq(user_id="ben"))

    async def give_both_a_picture(db: Writer) -> None:
        for name in ("ana", "ben"):
            await db.insert(Image(body=Id(f"{name}s"), user_id=name, created_at=1.0))

    found_anas, anas_change = await feed.look(anas)
    found_bens, bens_change = await feed.look(bens)
    assert (found_anas, found_bens) == (False, False)

    await runtime.database.transact(give_both_a_picture)

    async with asyncio.timeout(DEADLINE_S):
        await bens_change.wait()
        await anas_change.wait()
