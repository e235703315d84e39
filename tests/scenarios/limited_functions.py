"""Functions that exist for the limits' story alone: results of any size, and calls without an end."""

from __future__ import annotations

import asyncio

from schema.moderation import AuditEntry
from schema.values import seconds
from server.context import Action, Anyone, Member, Mutation, Query
from server.limits import per_member
from server.registry import Registry, action, mutation, query


@query
async def letters(ctx: Query[Anyone], count: int) -> str:
    """So many of them."""
    return "a" * count


@mutation()
async def letters_by_mutation(ctx: Mutation[Anyone], count: int) -> str:
    """So many of them."""
    return "a" * count


@action()
async def letters_by_action(ctx: Action[Anyone], count: int) -> str:
    """So many of them."""
    return "a" * count


@query
async def rows(ctx: Query[Anyone], count: int) -> int:
    """How many of so many traces there are."""
    return len(await ctx.db.take(AuditEntry.by_created.all(), count))


@query
async def endless(ctx: Query[Anyone]) -> None:
    """Never."""
    await asyncio.Event().wait()


@mutation()
async def endless_by_mutation(ctx: Mutation[Anyone]) -> None:
    """Never."""
    await asyncio.Event().wait()


@action()
async def endless_by_action(ctx: Action[Anyone]) -> None:
    """Never."""
    await asyncio.Event().wait()


@mutation(limit=per_member(2, each=seconds(1)))
async def note(ctx: Mutation[Member]) -> str:
    """Leave a trace; what it says."""
    now = ctx.db.now
    await ctx.db.insert(AuditEntry(actor=ctx.me.subject, action="noted", target="", created_at=now))
    return "noted"


@action(limit=per_member(2, each=seconds(1)))
async def errand(ctx: Action[Member]) -> None:
    """Something in the outside world."""


def limited() -> Registry:
    """These functions."""
    import tests.scenarios.limited_functions as module

    registry = Registry()
    registry.publish("limited", module)
    return registry
