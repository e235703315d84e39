"""Members: who they are to us, what they have, where it went."""

from __future__ import annotations

from schema.billing import LedgerEntry, Payment
from schema.paging import Page, Paging
from schema.users import AdminRole
from schema.values import days, minutes
from server.context import Member, Mutation, Query, is_admin
from server.errors import Conflict
from server.functions import leaving, ledger
from server.functions.views import CreditMovement, UserCredits
from server.limits import per_member
from server.registry import mutation, query

FREE_TRIAL = days(7)


@mutation(limit=per_member(60, each=minutes(1)))
async def ensure_user(ctx: Mutation[Member]) -> None:
    """Create the caller's account with the trial credits, once."""
    await ledger.ensure_user(ctx.db, ctx.me.subject)


@query
async def get_current_user_credits(ctx: Query[Member]) -> UserCredits:
    """The caller's balance, and whether the free trial still runs; the answer changes by itself when it ends."""
    user = await ledger.find_user(ctx.db, ctx.me.subject)
    if user is None:
        return UserCredits(credits=0, has_free_trial=True)
    paid = await ctx.db.exists(Payment.by_user_id.eq(user_id=user.user_id))
    young = ctx.clock.before(user.created_at + FREE_TRIAL)
    return UserCredits(credits=user.credits, has_free_trial=young and not paid)


@query
async def get_credit_history(ctx: Query[Member], pagination_opts: Paging) -> Page[CreditMovement]:
    """The caller's credit movements, newest first."""
    mine = LedgerEntry.by_user_and_created.eq(user_id=ctx.me.subject).newest_first()
    return (await ctx.db.page(mine, pagination_opts)).map(CreditMovement.of)


@mutation(limit=per_member(5, each=minutes(1)))
async def delete_my_account(ctx: Mutation[Member]) -> None:
    """Remove the caller's images, files and personal data; payment records stay. Done by work that survives a restart."""
    me = ctx.me.subject
    if await leaving.is_leaving(ctx.db, me):
        return
    if await is_admin(ctx.db, me) and len(await ctx.db.take(AdminRole.by_user_id.all(), 2)) == 1:
        raise Conflict("You are the last administrator. Make somebody else one before you leave.")
    await leaving.begin(ctx.db, me)
