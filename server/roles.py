"""Roles from outside the product: the first administrator cannot be made by another."""

from __future__ import annotations

from functools import partial

from schema.users import AdminRole
from schema.writer import Writer
from server.context import is_admin
from server.database import Database

MAX_LISTED = 1_000


async def grant(database: Database, subject: str) -> bool:
    """Give the role; false when the person has it."""
    return (await database.transact(partial(_grant, subject=subject)))[0]


async def revoke(database: Database, subject: str) -> bool:
    """Take the role away, also from the last one: whoever runs this can grant it again. False when there is nothing to take."""
    return (await database.transact(partial(_revoke, subject=subject)))[0]


async def administrators(database: Database) -> list[str]:
    """Who holds the role."""
    return [role.user_id for role in await (await database.newest()).take(AdminRole.by_user_id.all(), MAX_LISTED)]


async def _grant(db: Writer, subject: str) -> bool:
    if await is_admin(db, subject):
        return False
    await db.insert(AdminRole(user_id=subject, created_at=db.now))
    return True


async def _revoke(db: Writer, subject: str) -> bool:
    role = await db.one(AdminRole.by_user_id.eq(user_id=subject))
    if role is not None:
        await db.delete(role)
    return role is not None
