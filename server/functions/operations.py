"""Running the house: what is going on, what is stuck, and a member's balance set right through the ledger."""

from __future__ import annotations

from typing import Annotated

import msgspec

from jobs.states import FIRST
from schema.billing import Payment
from schema.document import NEW, Document
from schema.images import GenerationStatus, Image
from schema.paging import Page, Paging
from schema.system import Job, JobState
from schema.users import User
from schema.values import Id, Millis, camel, days
from server.context import Admin, Mutation, Query
from server.errors import Conflict, InsufficientCredits, Invalid, Missing
from server.functions import ledger
from server.functions.moderation import Reason, Subject
from server.ids import capability_id
from server.registry import mutation, query
from server.work import GENERATE_IMAGE

MAX_COUNTED = 10_000
MAX_PAYMENTS = 5_000
STATUSES: tuple[GenerationStatus, ...] = ("pending", "processing", "completed", "failed")

Adjustment = Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)]


class NewBalance(msgspec.Struct, frozen=True, rename=camel):
    """What a member has now."""

    new_balance: int


class StuckJob(Document, frozen=True, kw_only=True):
    """Work that was given up, and why."""

    id: Id[Job]
    kind: str
    subject: str
    state: JobState
    attempt: int
    created_at: Millis
    settled_at: Millis | None
    reason: str | None


class Overview(msgspec.Struct, frozen=True, rename=camel):
    """Counts, each up to a number beyond which nobody counts live."""

    users: int
    images_by_status: dict[str, int]
    queue_depth: int
    running: int
    dead_jobs: int
    oldest_wait_ms: Millis
    given_up_24h: int
    revenue_cents_24h: int


@mutation()
async def adjust_credits(ctx: Mutation[Admin], user_id: Subject, amount: Adjustment, reason: Reason) -> NewBalance:
    """Give credits to a member or take them away, through the ledger."""
    user = await ledger.find_user(ctx.db, user_id)
    if user is None:
        raise Missing("member")
    if amount == 0:
        raise Invalid("amount", "must not be zero")
    if user.credits + amount < 0:
        raise InsufficientCredits(needed=-amount, available=user.credits)
    user = await ledger.move(ctx.db, user, amount, "adjustment", key=f"adjustment:{capability_id()}")
    await ctx.audit(ctx.me.subject, "credits.adjusted", user_id, f"{amount:+d}: {reason}")
    return NewBalance(user.credits)


@query
async def get_stuck_jobs(ctx: Query[Admin], pagination_opts: Paging) -> Page[StuckJob]:
    """Work that was given up, the latest first."""
    dead = Job.by_state_and_due.eq(state="dead").newest_first()
    names = StuckJob.__struct_fields__
    found = await ctx.db.page(dead, pagination_opts)
    return found.map(lambda job: StuckJob(**{name: getattr(job, name) for name in names}))


@mutation()
async def retry_job(ctx: Mutation[Admin], job_id: Id[Job]) -> None:
    """Have work tried again that was given up, as new work. Photos are their members' to retry, because they pay for it."""
    job = await ctx.db.get(Job, job_id)
    if job is None:
        raise Missing("job")
    if job.state != "dead":
        raise Conflict("Only work that was given up can be tried again.")
    if job.kind == GENERATE_IMAGE.kind:
        raise Conflict("The member can have this photo drawn again; their credit went back when it failed.")
    again = msgspec.structs.replace(
        job, id=NEW, state=FIRST, attempt=0, due_at=ctx.clock.now(), worker=None, reason=None, settled_at=None
    )
    await ctx.db.insert(again)
    await ctx.db.delete(job)
    await ctx.audit(ctx.me.subject, "job.retried", job_id)


@query
async def get_overview(ctx: Query[Admin]) -> Overview:
    """What is going on, live."""

    async def jobs(state: JobState) -> int:
        return await ctx.db.count(Job.by_state_and_due.eq(state=state), MAX_COUNTED)

    by_status: dict[str, int] = {
        status: await ctx.db.count(Image.by_generation_status.eq(generation_status=status), MAX_COUNTED)
        for status in STATUSES
    }
    # Seen to the minute: the answer refreshes itself when the next one begins.
    now = ctx.clock.minute()
    failed = Job.by_state_and_due.eq(state="dead").at_least(now - days(1))
    paid = await ctx.db.take(Payment.by_created.all().at_least(now - days(1)).newest_first(), MAX_PAYMENTS)
    oldest = await ctx.db.one(Job.by_state_and_due.eq(state="queued"))
    return Overview(
        users=await ctx.db.count(User.by_user_id.all(), MAX_COUNTED),
        images_by_status=by_status,
        queue_depth=await jobs("queued"),
        running=await jobs("leased"),
        dead_jobs=await jobs("dead"),
        oldest_wait_ms=0.0 if oldest is None else max(0.0, now - oldest.due_at),
        given_up_24h=await ctx.db.count(failed, MAX_COUNTED),
        revenue_cents_24h=sum(each.amount_cents for each in paid if each.status == "paid"),
    )
