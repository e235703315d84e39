"""Members as administrators see them: who came lately, and who somebody is."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schema.document import Document
from schema.paging import Page, Paging
from schema.reader import Reader
from schema.users import AdminRole, User
from schema.values import Id, Millis
from server.context import Admin, Query
from server.registry import query

MAX_FOUND = 20
MAX_ADMINS = 1_000
LAST_CHARACTER = "\U0010ffff"

Sought = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class MemberView(Document, frozen=True, kw_only=True):
    """A member as administrators see them. `credits_owed` is what refunds could not take back."""

    id: Id[User]
    user_id: str
    credits: int
    credits_owed: int | None
    created_at: Millis
    email: str | None
    name: str | None
    is_admin: bool


@query
async def get_users(ctx: Query[Admin], pagination_opts: Paging) -> Page[MemberView]:
    """All members, the newest first."""
    admins = await _admins(ctx.db)
    found = await ctx.db.page(User.by_created.all().newest_first(), pagination_opts)
    return found.map(lambda user: _view(user, admins))


@query
async def find_users(ctx: Query[Admin], text: Sought) -> list[MemberView]:
    """The members with this e-mail address, and those whose id begins like this; at most a few."""
    text = text.strip()
    named = User.by_user_id.all().at_least(text).below(text + LAST_CHARACTER)
    found = await ctx.db.take(User.by_email.eq(email=text), MAX_FOUND) + await ctx.db.take(named, MAX_FOUND)
    admins = await _admins(ctx.db)
    return [_view(user, admins) for user in {user.id: user for user in found}.values()][:MAX_FOUND]


async def _admins(db: Reader) -> set[str]:
    return {role.user_id for role in await db.take(AdminRole.by_user_id.all(), MAX_ADMINS)}


def _view(user: User, admins: set[str]) -> MemberView:
    shown = {name: getattr(user, name) for name in MemberView.__struct_fields__ if name != "is_admin"}
    return MemberView(**shown, is_admin=user.user_id in admins)
