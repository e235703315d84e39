"""The story of a long gallery: pages that stay full, grow live, and neither gap nor repeat while everything moves."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from schema.images import Image
from tests.scenarios.conftest import Meet
from tests.scenarios.stock import ids, now, original_of, paged, put, remove, result_of
from tests.support.live import LiveClient, Refusal, Screen, Value
from tests.support.world import World

GALLERY = "images:getGalleryImagesPaginated"
FIRST_MOMENT = 1_700_000_000_000.0
SEED = 7
INVALID_CURSOR = {"isConvexSystemError": True, "paginationError": "InvalidCursor"}


async def stocked(world: World, subject: str | None, results: int, hidden_between: int = 0) -> list[str]:
    """A gallery of so many results, with originals between them that are not shown; the results' ids, newest first."""
    rows: list[Image] = []
    for number in range(results):
        moment = FIRST_MOMENT + 1_000.0 * number
        rows.append(result_of(subject, moment))
        rows += [original_of(subject, moment + 1 + each) for each in range(hidden_between)]
    stored = await put(world, *rows)
    return [image.id for image in reversed(stored) if image.is_generated]


async def page_of(person: LiveClient, num_items: int, cursor: str | None = None, **more: Value) -> Screen:
    return await person.watch(GALLERY, **paged(num_items, cursor, **more))


async def test_pages_are_full_though_most_rows_are_not_shown(meet: Meet, town: World) -> None:
    async with meet("ana") as ana:
        everything = await stocked(town, ana.subject, results=12, hidden_between=4)
        shown: list[str] = []
        sizes, cursor, is_done = [], None, False
        while not is_done:
            page = await ana.query_once(GALLERY, **paged(5, cursor))
            shown += ids(page)
            sizes.append(len(page["page"]))
            cursor, is_done = page["continueCursor"], page["isDone"]
            assert isinstance(cursor, str)
        assert (shown, sizes) == (everything, [5, 5, 2])


async def test_a_page_that_holds_everything_says_so_at_once(meet: Meet, town: World) -> None:
    async with meet("ana") as ana:
        everything = await stocked(town, ana.subject, results=3)
        page = await ana.query_once(GALLERY, **paged(3))
        assert (ids(page), page["isDone"]) == (everything, True)


async def test_the_first_page_grows_and_keeps_its_end(meet: Meet, town: World) -> None:
    async with meet("ana") as ana:
        everything = await stocked(town, ana.subject, results=6)
        first = await page_of(ana, 3)
        assert (ids(first.value), first.value["isDone"]) == (everything[:3], False)
        (newest,) = await put(town, result_of(ana.subject, now()))
        grown = await first.until(lambda page: len(page["page"]) == 4)
        assert ids(grown) == [newest.id, *everything[:3]]

        await ana.disconnect()
        (newer,) = await put(town, result_of(ana.subject, now() + 1))
        await ana.connect()

        again = await first.until(lambda page: len(page["page"]) == 5)
        assert ids(again) == [newer.id, newest.id, *everything[:3]]
        fresh = await ana.query_once(GALLERY, **paged(3, id=1))
        assert ids(fresh) == [newer.id, newest.id, everything[0]]


async def test_live_pages_always_abut(meet: Meet, town: World) -> None:
    chance = random.Random(SEED)
    async with meet("ana") as ana:
        present = await stocked(town, ana.subject, results=12, hidden_between=1)
        pages = [await page_of(ana, 4)]
        while not pages[-1].value["isDone"]:
            pages.append(await page_of(ana, 4, pages[-1].value["continueCursor"]))
        assert len(pages) == 3
        first_step = len(ana.steps)

        for _ in range(24):
            if present and chance.random() < 0.5:
                await remove(town, Image, present.pop(chance.randrange(len(present))))
            else:
                moment = FIRST_MOMENT + chance.uniform(-2_000.0, 14_000.0)
                present.append((await put(town, result_of(ana.subject, moment)))[0].id)
        (last,) = await put(town, result_of(ana.subject, FIRST_MOMENT + 20_000.0))
        await pages[0].until(lambda page: last.id in ids(page))

        for step in ana.steps[first_step:]:
            rows = [row for page in pages for row in step.value(page)["page"]]
            keys = [(row["createdAt"], row["_id"]) for row in rows]
            assert all(above > below for above, below in pairwise(keys)), f"seed {SEED}: {keys}"
        shown = [each for page in pages for each in ids(page.value)]
        assert sorted(shown) == sorted([*present, last.id])
        assert shown == ids(await ana.query_once(GALLERY, **paged(1_000)))


async def test_the_row_at_the_border_may_go(meet: Meet, town: World) -> None:
    async with meet("ana") as ana:
        everything = await stocked(town, ana.subject, results=6)
        first = await page_of(ana, 3)
        second = await page_of(ana, 3, first.value["continueCursor"])
        await remove(town, Image, everything[2])
        await first.until(lambda page: ids(page) == everything[:2])
        assert ids(second.value) == everything[3:]
        assert first.value["isDone"] is False
        fresh = await ana.query_once(GALLERY, **paged(3, first.value["continueCursor"], id=1))
        assert ids(fresh) == everything[3:]


async def test_a_page_can_be_cut_in_two(meet: Meet, town: World) -> None:
    async with meet("ana") as ana:
        everything = await stocked(town, ana.subject, results=9, hidden_between=1)
        whole = await ana.query_once(GALLERY, **paged(6))
        upper = await ana.query_once(GALLERY, **paged(6, endCursor=whole["splitCursor"]))
        lower = await ana.query_once(GALLERY, **paged(6, whole["splitCursor"], endCursor=whole["continueCursor"]))
        assert (len(upper["page"]), len(lower["page"])) == (3, 3)
        assert ids(upper) + ids(lower) == ids(whole) == everything[:6]
        assert (upper["continueCursor"], lower["continueCursor"]) == (whole["splitCursor"], whole["continueCursor"])


async def test_a_cursor_fits_only_the_query_that_gave_it(meet: Meet, town: World) -> None:
    async with meet("ana") as ana, meet("ben") as ben:
        await ana.mutation("users:ensureUser")
        for person in (ana, ben):
            await stocked(town, person.subject, results=3)
        mine = (await ana.query_once(GALLERY, **paged(1)))["continueCursor"]
        bens = (await ben.query_once(GALLERY, **paged(1)))["continueCursor"]
        other = (await ana.query_once("users:getCreditHistory", **paged(1)))["continueCursor"]
        public = (await ana.query_once("images:getPublicGallery", **paged(1)))["continueCursor"]
        assert len((await ana.query_once(GALLERY, **paged(1, mine)))["page"]) == 1
        tampered = mine[:-1] + ("A" if mine[-1] != "A" else "B")
        for cursor in (bens, other, public, tampered, mine + mine, "garbage", "", "\u00fc", "=" * 2_000):
            for asked in (paged(1, cursor), paged(1, None, endCursor=cursor)):
                with pytest.raises(Refusal) as refusal:
                    await ana.query_once(GALLERY, **asked)
                assert "InvalidCursor" in refusal.value.message
                assert refusal.value.data == INVALID_CURSOR


@pytest.mark.parametrize(
    "num_items",
    [0, -1, 0.5, 1_001, 1e308, {"$float": "AAAAAAAA+H8="}, {"$float": "AAAAAAAA8H8="}, "10", None, True, [1]],
    ids=repr,
)
async def test_how_many_must_make_sense(meet: Meet, num_items: Value) -> None:
    async with meet("ana") as ana:
        with pytest.raises(Refusal) as refusal:
            await ana.query_once(GALLERY, **paged(num_items))
        assert refusal.value.code == "VALIDATION"
        assert refusal.value.data["field"] == "paginationOpts.numItems"
        assert refusal.value.message.startswith("VALIDATION: paginationOpts.numItems: expected ")


async def test_the_fields_of_a_page_are_named_when_missing(meet: Meet) -> None:
    async with meet("ana") as ana:
        for args, field in (
            ({}, "paginationOpts"),
            ({"paginationOpts": {}}, "paginationOpts.numItems"),
            ({"paginationOpts": {"numItems": 1}}, "paginationOpts.cursor"),
            ({"paginationOpts": {"numItems": 1, "cursor": 7}}, "paginationOpts.cursor"),
            (
                {"paginationOpts": {"numItems": 1, "cursor": None, "maximumRowsRead": 0}},
                "paginationOpts.maximumRowsRead",
            ),
            ({"paginationOpts": 3}, "paginationOpts"),
        ):
            with pytest.raises(Refusal) as refusal:
                await ana.query_once(GALLERY, **args)
            assert (refusal.value.code, refusal.value.data["field"]) == ("VALIDATION", field)
