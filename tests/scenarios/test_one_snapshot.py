"""Every transition is one snapshot: all that a client sees was true at one moment, however many write meanwhile.

Writers keep promises across collections, one transaction at a time. Each transition of each client must keep them, and must
show what mongod says was true at its timestamp.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import pairwise

from schema.document import Range
from schema.images import Image
from schema.moderation import AuditEntry
from schema.values import Id, Millis
from schema.writer import Writer
from server.functions import ledger
from server.ids import capability_id
from tests.scenarios.stock import change, give, now, paged, put
from tests.support.mirror import Asked, Moment, Value, mirror
from tests.support.oracle import Fields, rows_at
from tests.support.world import World

SEED = 41
TABS = 12
"""Of one person: more than a fan-out needs, so that several answers at once are shared by many on the same sockets."""
OTHERS = ("bea", "cleo")
WRITERS, COMMITS_EACH = 4, 16
MOST_ON_THE_WALL = 6
QUIET = 0.4
"""How often a commit leaves the wall alone, so that one refresh of a screen is under way when another is due."""
CROWD, CROWD_WRITERS, CROWD_COMMITS = 140, 5, 15
"""More than two slices of a fan-out: it is overtaken by the next commit on its way."""
FEW_TRANSITIONS = 300

ALL = paged(1_000)
WALL, CREDITS, HISTORY, GALLERY, COUNT, ACTIVE = range(6)
MINE: tuple[Asked, ...] = (
    ("images:getPublicGallery", ALL),
    ("users:getCurrentUserCredits", {}),
    ("users:getCreditHistory", ALL),
    ("images:getGalleryImagesPaginated", ALL),
    ("images:getGalleryImagesCount", {}),
    ("images:hasActiveGenerations", {}),
)
OVERVIEW, LOG, FEATURED = range(3)
HOUSE: tuple[Asked, ...] = (
    ("admin:getOverview", {}),
    ("admin:getAuditLog", ALL),
    ("admin:getAdminFeaturedImages", ALL),
)


def name_of(body: str) -> str:
    """Who made a picture: its file is named after them, because the wall does not say."""
    return body.partition("/")[0]


class Writers:
    """Several who change many collections in one commit.

    They keep that everybody has one credit for each of their pictures on the wall, and that the notes in the audit log
    sum to the number of images there are.
    """

    def __init__(self, world: World, people: tuple[str, ...]) -> None:
        self._world, self._people = world, people
        self._moment = now()

    async def write(self, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(COMMITS_EACH):
            await self.once(chance.choice(self._people), chance)

    async def once(self, who: str, chance: random.Random, quiet: float = QUIET) -> int:
        """One commit about somebody; when it was."""
        self._moment += 1.0  # no two rows of a page are equally old
        moment, number = self._moment, capability_id()

        async def work(db: Writer) -> None:
            images = 0 if chance.random() < quiet else await self._hang(db, who, number, moment, chance)
            waiting = [each for each in await db.take(_all_of(who), 100) if not each.is_generated]
            if waiting and chance.random() < 0.7:
                await db.patch(waiting[0], generation_status=chance.choice(("completed", "pending", "processing")))
            else:
                await db.insert(_original(who, number, moment))
                images += 1
            note = AuditEntry(actor=who, action="wall", target=who, created_at=moment, reason=str(images))
            await db.insert(note)

        return (await self._world.runtime.database.transact(work))[1]

    async def _hang(self, db: Writer, who: str, number: str, moment: Millis, chance: random.Random) -> int:
        """Hang a picture on the wall or take one down; how many more images there are now."""
        shown = [each for each in await db.take(_all_of(who), 100) if each.is_featured]
        change = 1
        if len(shown) == MOST_ON_THE_WALL or (shown and chance.random() < 0.4):
            await db.delete(shown[chance.randrange(len(shown))])
            change = -1
        else:
            await db.insert(_picture(who, number, moment))
        await ledger.move(db, await ledger.ensure_user(db, who), change, "adjustment", key=f"wall:{number}")
        return change


def _all_of(who: str) -> Range[Image]:
    return Image.by_user_and_created.eq(user_id=who)


def _picture(who: str, number: str, moment: Millis) -> Image:
    return Image(
        body=Id(f"{who}/{number}"), user_id=who, created_at=moment, is_generated=True, original_image_id=Id(number),
        generation_status="completed", is_featured=True, featured_at=moment,
    )  # fmt: skip


def _original(who: str, number: str, moment: Millis) -> Image:
    return Image(body=Id(f"{who}/of/{number}"), user_id=who, created_at=moment + 0.5, generation_status="pending")


class Oracle:
    """What mongod says was true at a moment; each moment is asked for once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: dict[int, dict[str, list[Fields]]] = {}

    async def at(self, ts: int) -> dict[str, list[Fields]]:
        if ts not in self._known:
            tables = ("images", "users", "ledger", "auditLog")
            self._known[ts] = {each: await rows_at(self._world, ts, each) for each in tables}
        return self._known[ts]

    async def check_mine(self, moment: Moment, me: str) -> None:
        """What a member saw, in itself and against the database."""
        wall, history, gallery = (moment.value(each)["page"] for each in (WALL, HISTORY, GALLERY))
        credits = moment.value(CREDITS)["credits"]  # noqa: A001
        assert credits == sum(each["amount"] for each in history)
        assert credits == sum(name_of(each["body"]) == me for each in wall)
        assert moment.value(COUNT) == len(gallery)
        drawing = [each for each in gallery if each["generationStatus"] in ("pending", "processing")]
        assert moment.value(ACTIVE) is bool(drawing)

        truth = await self.at(moment.ts)
        assert credits == next(each["credits"] for each in truth["users"] if each["userId"] == me)
        shown = [each for each in truth["images"] if each["isFeatured"]]
        assert ids(wall) == ids(sorted(shown, key=lambda each: -each["featuredAt"]))
        mine = [each for each in truth["images"] if each["userId"] == me]
        kept = [each for each in mine if each["isGenerated"] or each["generationStatus"] != "completed"]
        assert ids(gallery) == ids(sorted(kept, key=lambda each: -each["createdAt"]))

    async def check_house(self, moment: Moment) -> None:
        """What an administrator saw, in itself and against the database."""
        overview, log, featured = (moment.value(each) for each in (OVERVIEW, LOG, FEATURED))
        by_status = overview["imagesByStatus"]
        assert sum(by_status.values()) == sum(int(each["reason"]) for each in log["page"])

        truth = await self.at(moment.ts)
        assert by_status == {
            status: sum(each["generationStatus"] == status for each in truth["images"]) for status in by_status
        }
        assert sorted(ids(log["page"])) == sorted(ids(truth["auditLog"]))
        assert sorted(ids(featured["page"])) == sorted(ids([each for each in truth["images"] if each["isFeatured"]]))


def ids(rows: Sequence[Fields]) -> list[str]:
    return [each["_id"] for each in rows]


async def test_all_queries_of_everybody_hold_at_one_moment(world: World) -> None:
    people = ("ana", *OTHERS)
    for who in people:
        await give(world, who, 0)
    async with AsyncExitStack() as stack:
        mirrors = [(who, await stack.enter_async_context(mirror(world, who))) for who in ("ana",) * TABS + OTHERS * 2]
        house = await stack.enter_async_context(mirror(world, "root", admin=True))
        everybody = [*(each for _, each in mirrors), house]
        await asyncio.gather(*(each.watch(*MINE) for _, each in mirrors), house.watch(*HOUSE))

        writers = Writers(world, people)
        await asyncio.gather(*(writers.write(SEED + number) for number in range(WRITERS)))
        for who in people:  # nobody is left with an old answer: each is shown their own last change, and the wall's
            last = await writers.once(who, random.Random(SEED), quiet=0)
        await asyncio.gather(*(each.reaches(last) for each in everybody))

        oracle = Oracle(world)
        for who, each in mirrors:
            for moment in each.moments:
                if len(moment.shown) == len(MINE):
                    await oracle.check_mine(moment, who)
        for moment in house.moments:
            if len(moment.shown) == len(HOUSE):
                await oracle.check_house(moment)
        assert sum(len(each.moments) for each in everybody) > FEW_TRANSITIONS


async def test_a_crowd_is_never_left_behind(world: World) -> None:
    """Nobody of many who watch one thing, and only that, keeps an old answer because the next came while they were told."""
    pictures = await put(world, *(_picture("ana", capability_id(), now() + each) for each in range(CROWD_WRITERS)))
    async with AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(mirror(world)) for _ in range(CROWD)]
        await asyncio.gather(*(each.watch(MINE[WALL]) for each in crowd))

        async def paint(picture: Image) -> None:
            for width in range(1, CROWD_COMMITS + 1):
                await change(world, Image, picture.id, original_width=width)

        await asyncio.gather(*(paint(each) for each in pictures))
        done = [CROWD_COMMITS] * CROWD_WRITERS
        await asyncio.gather(*(each.shows(0, lambda wall: _widths(wall) == done) for each in crowd))
        for each in crowd:
            for earlier, later in pairwise(_widths(moment.value(0)) for moment in each.moments):
                assert all(before <= after for before, after in zip(earlier, later, strict=True))


def _widths(wall: Value) -> list[int]:
    return [int(each.get("originalWidth") or 0) for each in wall["page"]]
