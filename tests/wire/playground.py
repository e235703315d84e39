"""Functions that exist for these tests alone: echoes, notes, and calls that wait until a test lets them go.

Invariant: a note is a row of the audit log in the caller's name; nothing else of the product's is touched.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from secrets import token_urlsafe
from types import ModuleType
from typing import Any

from schema.moderation import AuditEntry
from schema.paging import Page, Paging
from server.context import Action, Anyone, Member, Mutation, Query
from server.errors import Conflict
from server.functions import PUBLISHED
from server.registry import Registry, action, mutation, query

NAME = "playground"
NOTED = "noted"
MAX_NOTES = 500
PADDING = token_urlsafe(2 << 20)
"""A text that compresses badly."""


class Gate:
    """A place in a function where it waits for the test."""

    def __init__(self) -> None:
        self.entered, self._opened = asyncio.Event(), asyncio.Event()
        self._arrivals = asyncio.Condition()
        self.entries = 0

    def __repr__(self) -> str:
        return f"<Gate {'open' if self._opened.is_set() else 'closed'}, entered {self.entries} times>"

    def open(self) -> None:
        """Let everybody through, now and later."""
        self._opened.set()

    async def entered_times(self, count: int) -> None:
        """Wait until it was entered so often."""
        async with self._arrivals:
            await self._arrivals.wait_for(lambda: self.entries >= count)

    async def pass_through(self) -> None:
        """Wait until it is open."""
        self.entries += 1
        self.entered.set()
        async with self._arrivals:
            self._arrivals.notify_all()
        await self._opened.wait()


gates: defaultdict[str, Gate] = defaultdict(Gate)
"""By name; a name is used by one test only."""


def with_playground(playground: ModuleType) -> Registry:
    """The product's functions and, beside them, the ones of this module."""
    registry = Registry()
    for name, module in (*PUBLISHED, (NAME, playground)):
        registry.publish(name, module)
    return registry


@query
async def who_am_i(ctx: Query[Anyone]) -> str | None:
    """The caller's subject."""
    return ctx.me.signed_in_subject


@query
async def echo(ctx: Query[Anyone], value: Any) -> Any:
    """What it is given."""
    return value


@mutation()
async def echo_by_mutation(ctx: Mutation[Anyone], value: Any) -> Any:
    """What it is given."""
    return value


@action()
async def echo_by_action(ctx: Action[Anyone], value: Any) -> Any:
    """What it is given."""
    return value


@query
async def curiosities(ctx: Query[Anyone]) -> dict[str, object]:
    """Values that JSON has no words for, made in Python."""
    return {
        "bytes": bytes(range(256)),
        "infinity": float("inf"),
        "nan": float("nan"),
        "negativeInfinity": float("-inf"),
        "negativeZero": -0.0,
        "ten": 10.0,
        "tenth": 0.1,
    }


@query
async def half(ctx: Query[Anyone], of: float) -> float:
    """Half of a number."""
    return of / 2


@query
async def long(ctx: Query[Anyone], length: int) -> str:
    """A text so long."""
    return "x" * length


@query
async def notes(ctx: Query[Member]) -> list[str]:
    """The caller's notes, oldest first."""
    rows = await ctx.db.take(AuditEntry.by_created.all(), MAX_NOTES)
    return [row.target for row in rows if row.actor == ctx.me.subject]


@query
async def padded_notes(ctx: Query[Member]) -> dict[str, object]:
    """The caller's notes, and so much beside them that a line is soon full."""
    return {"notes": await notes(ctx), "padding": PADDING}


@query
async def note_pages(ctx: Query[Member], pagination_opts: Paging) -> Page[str]:
    """The caller's notes in pages, newest first."""
    me = ctx.me.subject
    newest = AuditEntry.by_created.all().newest_first()
    found = await ctx.db.page(newest, pagination_opts, keep=lambda row: row.actor == me)
    return found.map(lambda row: row.target)


@mutation()
async def note(ctx: Mutation[Member], text: str) -> str:
    """Write a note."""
    await _write(ctx, text)
    return text


@mutation()
async def erase(ctx: Mutation[Member], text: str) -> None:
    """Take the caller's notes with this text away."""
    for row in await ctx.db.take(AuditEntry.by_created.all(), MAX_NOTES):
        if row.actor == ctx.me.subject and row.target == text:
            await ctx.db.delete(row)


@mutation()
async def note_at_gate(ctx: Mutation[Member], text: str, gate: str) -> str:
    """Write a note, once the gate is open."""
    await gates[gate].pass_through()
    await _write(ctx, text)
    return text


@mutation()
async def note_and_refuse(ctx: Mutation[Member], text: str) -> None:
    """Write a note and take it back by failing."""
    await _write(ctx, text)
    raise Conflict("There are notes enough.")


@mutation()
async def note_and_break(ctx: Mutation[Member], text: str) -> None:
    """Write a note and fail in a way that nobody planned."""
    await _write(ctx, text)
    raise RuntimeError("a secret of the server")


@action()
async def note_by_action(ctx: Action[Member], text: str) -> list[str]:
    """Write a note and read all of them, in two steps."""
    await ctx.run(note, text=text)
    return await ctx.run(notes)


@action()
async def wait_at_gate(ctx: Action[Anyone], gate: str) -> str:
    """Come back once the gate is open."""
    await gates[gate].pass_through()
    return gate


@action()
async def refuse(ctx: Action[Anyone]) -> None:
    """Fail with an application error."""
    raise Conflict("Not today.")


@action()
async def break_down(ctx: Action[Anyone]) -> None:
    """Fail in a way that nobody planned."""
    raise RuntimeError("a secret of the server")


async def _write(ctx: Mutation[Member], text: str) -> None:
    await ctx.db.insert(AuditEntry(actor=ctx.me.subject, action=NOTED, target=text, created_at=ctx.clock.now()))
