"""What it means that a mutation has ended: the answer first, and then one transition in which its effect is in every query.

The published clients resolve a mutation's promise with the first transition at or after its commit.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from itertools import pairwise
from operator import eq

from tests.scenarios.conftest import Meet
from tests.scenarios.stock import ids, now, paged, put, result_of
from tests.support.live import LiveClient
from tests.support.mirror import Asked, Mirror, Moment, Settled, mirror
from tests.support.world import World

ROUNDS = 8
CREDITS, HISTORY, GALLERY, COUNT, WALL, LOG = range(6)
SCREEN: tuple[Asked, ...] = (
    ("users:getCurrentUserCredits", {}),
    ("users:getCreditHistory", paged()),
    ("images:getGalleryImagesPaginated", paged()),
    ("images:getGalleryImagesCount", {}),
    ("images:getPublicGallery", paged()),
    ("admin:getAuditLog", paged()),
)
VISITORS = 10
"""Enough for the wall to be fanned out while the mutations of those who change it run."""


def resolved(tab: Mirror, settled: Settled) -> Moment:
    """What is on the screen when the promise resolves."""
    moment = tab.moments[settled.after]
    assert moment.ts >= settled.ts
    return moment


async def picture_of(town: World, ana: LiveClient) -> str:
    return (await put(town, result_of(ana.subject, now())))[0].id


async def test_the_effect_is_in_every_query_when_the_promise_resolves(town: World, meet: Meet) -> None:
    async with meet("root", admin=True) as root, mirror(town, root.subject) as tab:
        await tab.watch(*SCREEN)
        first = resolved(tab, await tab.mutate("users:ensureUser"))
        assert first.value(CREDITS)["credits"] == 10
        assert [each["kind"] for each in first.value(HISTORY)["page"]] == ["trial"]
        for left in range(11, 11 + ROUNDS):
            adjusted = await tab.mutate("admin:adjustCredits", userId=root.subject, amount=1, reason=f"to {left}")
            shown = resolved(tab, adjusted)
            assert adjusted.result == {"newBalance": left}
            assert shown.value(CREDITS)["credits"] == left
            assert sorted(each["balanceAfter"] for each in shown.value(HISTORY)["page"]) == list(range(10, left + 1))
            assert shown.value(LOG)["page"][0]["reason"] == f"+1: to {left}"
        for left in range(3):
            picture = await picture_of(town, root)
            await tab.shows(COUNT, partial(eq, left + 1))
            hung = resolved(tab, await tab.mutate("images:updateFeaturedStatus", imageId=picture, isFeatured=True))
            assert picture in ids(hung.value(WALL))
            assert hung.value(GALLERY)["page"][0]["isFeatured"] is True
        for left in (2, 1, 0):
            picture = ids(tab.now.value(GALLERY))[0]
            gone = resolved(tab, await tab.mutate("images:deleteImage", imageId=picture))
            assert picture not in ids(gone.value(GALLERY)) + ids(gone.value(WALL))
            assert gone.value(COUNT) == len(gone.value(GALLERY)["page"]) == left


async def test_one_that_changes_nothing_shows_what_it_found_and_one_that_fails_is_followed(
    town: World, meet: Meet
) -> None:
    """Another screen was first. Whoever comes second sees that when they are told that there was nothing to do."""
    async with meet("ana") as ana, mirror(town, ana.subject) as left, mirror(town, ana.subject) as right:
        await asyncio.gather(left.watch(*SCREEN[:LOG]), right.watch(*SCREEN[:LOG]))
        for _ in range(ROUNDS):
            picture = await picture_of(town, ana)
            ended = await asyncio.gather(
                left.mutate("images:updateFeaturedStatus", imageId=picture, isFeatured=True),
                right.mutate("images:updateFeaturedStatus", imageId=picture, isFeatured=True),
            )
            for tab, settled in zip((left, right), ended, strict=True):
                assert settled.success
                shown = resolved(tab, settled)
                assert picture in ids(shown.value(WALL))
                (own,) = [each for each in shown.value(GALLERY)["page"] if each["_id"] == picture]
                assert own["isFeatured"] is True

            removing = await left.ask("images:deleteImage", imageId=picture)
            await left.answered(removing)
            failed = await right.mutate("images:updateFeaturedStatus", imageId=picture, isFeatured=False)
            assert not failed.success
            resolved(right, failed)  # a transition has followed: some clients settle only then
            for tab in (left, right):
                await tab.shows(COUNT, partial(eq, 0))
                assert picture not in ids(tab.now.value(GALLERY)) + ids(tab.now.value(WALL))


async def test_many_at_once_are_answered_in_order_and_each_before_it_shows(town: World, meet: Meet) -> None:
    """Pipelined, of every kind, on three screens of one person that invalidate each other all the time."""
    async with meet("ana") as ana, meet("ben") as ben, AsyncExitStack() as stack:
        bens = await picture_of(town, ben)
        pictures = [await picture_of(town, ana) for _ in range(3)]
        tabs = [await stack.enter_async_context(mirror(town, ana.subject)) for _ in pictures]
        visitors = [await stack.enter_async_context(mirror(town)) for _ in range(VISITORS)]
        await asyncio.gather(
            *(tab.watch(*SCREEN[:LOG]) for tab in tabs), *(each.watch(SCREEN[WALL]) for each in visitors)
        )
        wanted: list[bool] = []
        for number in range(ROUNDS):
            for tab, picture in zip(tabs, pictures, strict=True):
                for each in (picture, picture, bens):
                    await tab.ask("images:updateFeaturedStatus", imageId=each, isFeatured=number % 2 == 0)
            wanted += [True, True, False]
        for tab, picture in zip(tabs, pictures, strict=True):
            last = resolved(tab, await tab.ended(len(wanted) - 1))
            assert picture not in ids(last.value(WALL))
            assert list(tab.settled) == list(range(len(wanted)))
            assert [each.success for each in tab.settled.values()] == wanted
            commits = [each.ts for each in tab.settled.values() if each.success]
            assert all(earlier <= later for earlier, later in pairwise(commits))
            for number, settled in tab.settled.items():
                if number % 3 == 0:  # it changes the picture: nobody is shown that before the answer to it
                    assert all(each.ts < settled.ts for each in tab.moments[: settled.after])
            for moment in (each for each in tab.moments if WALL in each.shown):
                over = [number for number, each in tab.settled.items() if each.success and each.ts <= moment.ts]
                assert (picture in ids(moment.value(WALL))) is bool(over and over[-1] // 3 % 2 == 0)
