"""What stories find in the database without having made it through the product: documents written straight into it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from schema.document import Document, Range
from schema.images import Image
from schema.users import User
from schema.values import Id, Millis, Scalar, seconds
from schema.writer import Writer
from server.functions import ledger
from server.ids import capability_id
from tests.support.live import Value
from tests.support.world import World

D = TypeVar("D", bound=Document)
T = TypeVar("T")

MANY = 1_000


def now() -> Millis:
    """The time, as the product reads it."""
    return time.time() * 1_000


def paged(num_items: Value = 100, cursor: Value = None, **more: Value) -> Value:
    """The arguments of a paginated query."""
    return {"paginationOpts": {"numItems": num_items, "cursor": cursor, **more}}


def ids(page: Value) -> list[str]:
    """The ids on a page, in order."""
    return [each["_id"] for each in page["page"]]


def result_of(owner: str | None, created_at: Millis, **more: Scalar) -> Image:
    """A finished picture, of an original of its own."""
    made: dict[str, Scalar] = {
        "is_generated": True,
        "generation_status": "completed",
        "original_image_id": capability_id(),
    }
    return _image(owner, created_at, {**made, **more})


def original_of(owner: str | None, created_at: Millis, **more: Scalar) -> Image:
    """A photo whose drawing is finished, so that no gallery shows it."""
    return _image(owner, created_at, {"generation_status": "completed", **more})


def _image(owner: str | None, created_at: Millis, more: dict[str, Scalar]) -> Image:
    image = Image(body=Id(capability_id()), user_id=owner, created_at=created_at)
    return msgspec.structs.replace(image, **more)


async def commit(world: World, work: Callable[[Writer], Awaitable[T]]) -> T:
    """Write straight into the database; from here on every query of the product sees it."""
    result, ts = await world.runtime.database.transact(work)
    await world.runtime.hub.alarms.reached(ts)
    return result


async def put(world: World, *documents: D) -> list[D]:
    """Store documents, all in one commit."""

    async def work(db: Writer) -> list[D]:
        return [await db.insert(each) for each in documents]

    return await commit(world, work)


async def change(world: World, kind: type[D], document_id: str, **changes: Scalar) -> None:
    """Change one document."""

    async def work(db: Writer) -> None:
        await db.patch(await db.need(kind, Id(document_id)), **changes)

    await commit(world, work)


async def remove(world: World, kind: type[D], document_id: str) -> None:
    """Delete one document."""

    async def work(db: Writer) -> None:
        await db.delete(await db.need(kind, Id(document_id)))

    await commit(world, work)


async def found(world: World, range_: Range[D]) -> Sequence[D]:
    """Everything in a range."""
    return await (await world.runtime.database.newest()).take(range_, MANY)


async def one(world: World, kind: type[D], document_id: str) -> D | None:
    """One document."""
    return await (await world.runtime.database.newest()).get(kind, Id(document_id))


async def member(world: World, subject: str) -> User:
    """The row of a member who exists."""
    (user,) = await found(world, User.by_user_id.eq(user_id=subject))
    return user


async def give(world: World, subject: str, credits: int) -> None:  # noqa: A002
    """Make a member's balance this, through the ledger."""

    async def work(db: Writer) -> None:
        user = await ledger.ensure_user(db, subject)
        if user.credits != credits:
            await ledger.move(db, user, credits - user.credits, "adjustment", key=f"test:{capability_id()}")

    await commit(world, work)


async def end_trial_in(world: World, subject: str, seconds_left: float) -> None:
    """Make a member as old as one whose trial ends so soon."""
    created_at = now() - seconds(7 * 24 * 3_600) + seconds(seconds_left)
    await change(world, User, (await member(world, subject)).id, created_at=created_at)
