"""A made-up product whose functions have every shape that clients are told of."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import msgspec

from schema.images import Image
from schema.moderation import AuditEntry
from schema.paging import Page, Paging
from schema.values import Id, camel, minutes, seconds
from schema.wire import Said
from server.codegen.manifest import Manifest, manifest_of
from server.context import Action, Admin, Anyone, Member, Mutation, Query
from server.limits import Rate, per_member
from server.registry import Registry, action, mutation, query

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


class Ware(msgspec.Struct, frozen=True, rename=camel):
    """A ware. `sold_at` is missing until it is sold."""

    ware_id: Id[Image]
    colours: list[Literal["red", "green"] | None]
    stock: dict[str, int]
    sold_at: float | None


class Till(Said, frozen=True, rename=camel):
    """What is in the till, and who looked last."""

    cents: int
    looked_at: float | None


@query
async def get_wares(ctx: Query[Anyone], pagination_opts: Paging, colour: Literal["red", "green"] = "red") -> Page[Ware]:
    """The wares; */ does not end this comment, nor do \"\"\" or \\ end that one."""
    raise NotImplementedError


@query
async def get_ware(ctx: Query[Member], ware_id: Id[Image]) -> Ware | Till | None:
    """One of them, or what `sold_at` says.

    A second paragraph.
    """
    raise NotImplementedError


@query
async def get_log(ctx: Query[Admin]) -> list[AuditEntry]:
    """What administrators did."""
    raise NotImplementedError


@mutation(limit=per_member(5, each=minutes(1)))
async def buy(
    ctx: Mutation[Member], word: Word, count: Annotated[int, msgspec.Meta(ge=1, le=1_000)], tip: float | None = None
) -> Till:
    """Buy."""
    raise NotImplementedError


@action(limit=Rate(1, seconds(10)))
async def send(ctx: Action[Member], note: str | None = None) -> None:
    """Send."""


def manifest() -> Manifest:
    """The shop's manifest."""
    registry = Registry()
    registry.publish("shop", sys.modules[__name__])
    return manifest_of(registry)
