"""Functions that exist for the story of faults alone: balances to watch, and two that go wrong at the wrong number."""

from __future__ import annotations

import asyncio

from schema.moderation import AuditEntry
from schema.reader import Reader
from schema.users import User
from server.context import Anyone, Query
from server.registry import Registry, query

UNLUCKY = 13
WEIGHT = 1_000_000
MANY = 500

door = asyncio.Event()
"""What `waits` stands before, when the number is the wrong one."""


@query
async def balance(ctx: Query[Anyone], name: str) -> int:
    """Somebody's credits."""
    return await _credits(ctx.db, name)


@query
async def pair(ctx: Query[Anyone], one: str, other: str) -> list[int]:
    """The credits of two."""
    return [await _credits(ctx.db, one), await _credits(ctx.db, other)]


@query
async def traces(ctx: Query[Anyone]) -> int:
    """How many traces there are, up to MANY."""
    return await ctx.db.count(AuditEntry.by_created.all(), MANY)


@query
async def heavy(ctx: Query[Anyone], name: str) -> str:
    """Somebody's credits, and what weighs a megabyte."""
    return f"{await _credits(ctx.db, name)}:{'a' * WEIGHT}"


@query
async def raises(ctx: Query[Anyone], name: str) -> int:
    """Somebody's credits; breaks when there is bad luck in them."""
    found = await _credits(ctx.db, name)
    if found == UNLUCKY:
        raise RuntimeError("a mistake of ours")
    return found


@query
async def waits(ctx: Query[Anyone], name: str) -> int:
    """Somebody's credits; does not end when there is bad luck in them, unless the door is open."""
    found = await _credits(ctx.db, name)
    if found == UNLUCKY:
        await door.wait()
    return found


async def _credits(db: Reader, name: str) -> int:
    user = await db.one(User.by_user_id.eq(user_id=name))
    return 0 if user is None else user.credits


def faulty() -> Registry:
    """These functions."""
    import tests.scenarios.faulty_functions as module

    registry = Registry()
    registry.publish("faults", module)
    return registry
