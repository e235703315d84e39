"""Live pages against one scan: whatever is inserted, moved, hidden or deleted, the pages of a client are the list, cut up.

Each transition is held against what mongod says the whole list was at its timestamp.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack

import pytest

from schema.images import Image
from server.ids import capability_id
from tests.scenarios.stock import change, ids, now, original_of, paged, put, remove, result_of
from tests.support.live import LiveClient, Refusal, Screen, Step, Value, world_client
from tests.support.oracle import rows_at
from tests.support.world import World

GALLERY = "images:getGalleryImagesPaginated"
PENDING = "admin:getPendingFeaturedImages"
FEATURED = "admin:getAdminFeaturedImages"
PAGE_SIZES = (1, 3, 5)
SEED = 1_729
WRITERS, MOVES_EACH = 3, 12
ROWS = 14
PLACES = 30
"""So few that rows come to lie at the same place, where their ids decide."""
BASE = 1_700_000_000_000.0
INVALID_CURSOR = {"isConvexSystemError": True, "paginationError": "InvalidCursor"}


class Album:
    """One client's pages of one list, from the first to the last."""

    def __init__(self, person: LiveClient, path: str, num_items: int) -> None:
        self.person, self._path, self._num_items = person, path, num_items
        self.pages: list[Screen] = []
        self.since = 0

    def __repr__(self) -> str:
        return f"<Album of {self._path}, {len(self.pages)} pages of {self._num_items}>"

    async def open(self) -> None:
        """Turn to the last page, as somebody does who scrolls down; they are checked from here on."""
        cursor = None
        while not self.pages or not self.pages[-1].value["isDone"]:
            self.pages.append(await self.person.watch(self._path, **paged(self._num_items, cursor)))
            cursor = self.pages[-1].value["continueCursor"]
        self.since = len(self.person.steps) - 1

    async def split(self) -> None:
        """Cut the longest page in two, as `usePaginatedQuery` does."""
        at = max(range(len(self.pages)), key=lambda each: len(self.pages[each].value["page"]))
        page = self.pages[at].value
        start = None if at == 0 else self.pages[at - 1].value["continueCursor"]
        cuts = ((start, page["splitCursor"]), (page["splitCursor"], page["continueCursor"]))
        halves = [
            await self.person.watch(self._path, **paged(self._num_items, low, endCursor=high)) for low, high in cuts
        ]
        whole, self.pages[at : at + 1] = self.pages[at], halves
        await self.person.forget(whole)
        self.since = len(self.person.steps)  # what was shown before was cut up otherwise

    def borders(self) -> list[str]:
        """The rows that cursors point at."""
        return [shown[-1] for page in self.pages if (shown := ids(page.value))]

    def rows(self, step: Step) -> list[str]:
        return [row for page in self.pages for row in ids(step.value(page))]

    async def check(self, world: World, listed: Listed) -> int:
        """Every transition shows the whole list, in order; how many there were."""
        steps = self.person.steps[self.since :]
        for step in steps:
            assert self.rows(step) == await listed.at(world, step.version.ts), (
                f"{self!r} at {step.version}, seed {SEED}"
            )
        return len(steps)


class Listed:
    """What a list holds, said by mongod."""

    def __init__(self, path: str, owner: str) -> None:
        self._path, self._owner = path, owner
        self._known: dict[int, list[str]] = {}

    async def at(self, world: World, ts: int) -> list[str]:
        if ts not in self._known:
            if self._path == GALLERY:
                found = await rows_at(world, ts, "images", userId=self._owner)
                kept = [each for each in found if each["isGenerated"] or each["generationStatus"] == "pending"]
                kept.sort(key=lambda each: (each["createdAt"], each["_id"]), reverse=True)
            else:
                found = await rows_at(world, ts, "images", isFeatured=True, isDisabledByAdmin=False)
                kept = [each for each in found if "featureApprovedAt" not in each]
                kept.sort(key=lambda each: (each["featuredAt"], each["_id"]), reverse=True)
            self._known[ts] = [each["_id"] for each in kept]
        return self._known[ts]


class Movers:
    """Several who insert, delete, and move rows to other places of the lists and out of them."""

    def __init__(self, world: World, albums: list[Album], owner: str) -> None:
        self._world, self._albums, self._owner = world, albums, owner
        self._present: list[str] = []

    async def stock(self, chance: random.Random) -> None:
        for _ in range(ROWS):
            await self._insert(chance)

    async def move(self, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(MOVES_EACH):
            await self._once(chance)

    async def _insert(self, chance: random.Random) -> None:
        make = result_of if chance.random() < 0.7 else original_of
        row = make(self._owner, _anywhere(chance), is_featured=chance.random() < 0.7, featured_at=_anywhere(chance))
        self._present.append((await put(self._world, row))[0].id)

    async def _once(self, chance: random.Random) -> None:
        """Something happens to a row; a border is as likely as any other. It is this writer's alone meanwhile."""
        borders = [each for album in self._albums for each in album.borders() if each in self._present]
        among = borders if borders and chance.random() < 0.5 else self._present
        if len(self._present) < ROWS // 2 or chance.random() < 0.3:
            await self._insert(chance)
            return
        row = chance.choice(among)
        self._present.remove(row)
        kind = chance.randrange(6)
        if kind == 0:
            await remove(self._world, Image, row)
            return
        match kind:
            case 1:
                await change(self._world, Image, row, created_at=_anywhere(chance), featured_at=_anywhere(chance))
            case 2:
                await change(self._world, Image, row, feature_approved_at=chance.choice((None, now())))
            case 3:
                await change(self._world, Image, row, user_id=chance.choice((self._owner, "somebody else")))
            case 4:
                await change(self._world, Image, row, is_disabled_by_admin=chance.random() < 0.5)
            case _:
                await change(
                    self._world, Image, row, is_featured=chance.random() < 0.5, is_generated=chance.random() < 0.7
                )
        self._present.append(row)


def _anywhere(chance: random.Random) -> float:
    return BASE + chance.randrange(PLACES)


@pytest.mark.parametrize("path", [GALLERY, PENDING])
async def test_the_pages_are_the_list_at_every_moment(world: World, path: str) -> None:
    chance = random.Random(SEED)
    async with AsyncExitStack() as stack:
        people = [await stack.enter_async_context(world_client(world, "ana", admin=True)) for _ in PAGE_SIZES]
        albums = [Album(person, path, size) for person, size in zip(people, PAGE_SIZES, strict=True)]
        movers, listed = Movers(world, albums, "ana"), Listed(path, "ana")
        await movers.stock(chance)
        for album in albums:
            await album.open()
        checked = 0
        for number in range(3):
            await asyncio.gather(*(movers.move(SEED + 10 * number + each) for each in range(WRITERS)))
            # Two: so that the longest page can be cut, wherever the movers have left the rest.
            top = [result_of("ana", BASE + PLACES + number, is_featured=True, featured_at=now()) for _ in range(2)]
            newest = {each.id for each in await put(world, *top)}
            for album in albums:
                await album.pages[0].until(lambda page: newest <= set(ids(page)))  # noqa: B023
                checked += await album.check(world, listed)
            if number == 0:
                await albums[1].split()
                await albums[2].split()
            elif number == 1:  # away while rows move: their journals bring the same borders back
                await albums[0].person.disconnect()
                await movers.move(SEED + 100)
                await albums[0].person.connect()
        assert checked > WRITERS * MOVES_EACH
        for album in albums:
            fresh = await album.person.query_once(path, **paged(1_000))
            assert [row for page in album.pages for row in ids(page.value)] == ids(fresh)


async def test_a_cursor_outlives_its_row_and_garbage_is_refused_so_that_one_starts_anew(world: World) -> None:
    async with world_client(world, "ana", admin=True) as ana, world_client(world, "bea", admin=True) as bea:
        rows = await put(
            world, *(result_of("ana", BASE + each, is_featured=True, featured_at=BASE + each) for each in range(6))
        )
        newest_first = [each.id for each in reversed(rows)]
        first = await ana.watch(PENDING, **paged(2))
        cursor = first.value["continueCursor"]
        await remove(world, Image, newest_first[1])
        await first.until(lambda page: ids(page) == newest_first[:1])
        assert ids(await ana.query_once(PENDING, **paged(2, cursor))) == newest_first[2:4]
        assert ids(await bea.query_once(PENDING, **paged(2, cursor))) == newest_first[2:4], "a list of everybody's"

        foreign = [
            (await ana.query_once(path, **paged(1)))["continueCursor"]
            for path in (FEATURED, GALLERY, "users:getCreditHistory", "admin:getAuditLog", "images:getPublicGallery")
        ]
        for bad in (*foreign[:2], cursor[::-1], cursor[:-2], capability_id(), "{}"):
            with pytest.raises(Refusal) as refused:
                await ana.query_once(PENDING, **paged(2, bad))
            assert refused.value.data == INVALID_CURSOR
            assert "InvalidCursor" in refused.value.message
        anew: Value = await ana.query_once(PENDING, **paged(2, None, id=1))
        assert ids(anew) == [newest_first[0], newest_first[2]]
