"""The house's processes as they say of themselves, and what the last audit of the ledger found."""

from __future__ import annotations

from schema.billing import LEDGER_AUDIT_ID, LedgerAudit
from schema.system import Role, Vitals
from schema.values import Millis, camel, minutes, seconds
from schema.wire import Said
from server.context import Admin, Query
from server.registry import query

MAX_PROCESSES = 200
LOST_AFTER: Millis = seconds(20)
"""They say how they are every five seconds; who has been silent for longer is not there any more."""


class ProcessView(Said, frozen=True, kw_only=True, rename=camel):
    """One process, within the last few seconds. Times are in milliseconds; null where there was nothing to measure."""

    name: str
    role: Role
    version: str
    started_at: Millis
    sockets: int
    live_queries: int
    answers: int
    jobs_running: int
    feed_lag_ms: Millis
    push_p50_ms: Millis | None
    push_p99_ms: Millis | None
    resident_bytes: int | None


class LedgerAuditView(Said, frozen=True, kw_only=True, rename=camel):
    """The last audit: whether it failed, which makes every process unready, and how many balances were wrong."""

    audited_at: Millis
    has_failed: bool
    imbalanced: int


@query
async def get_processes(ctx: Query[Admin]) -> list[ProcessView]:
    """Every process that is there, live; one that falls silent leaves the list by itself."""
    recent = Vitals.by_seen.all().at_least(ctx.clock.minute() - minutes(1))
    rows = [row for row in await ctx.db.take(recent, MAX_PROCESSES) if ctx.clock.before(row.seen_at + LOST_AFTER)]
    return [_view(row) for row in sorted(rows, key=lambda row: (row.role, row.started_at, row.id))]


@query
async def get_ledger_audit(ctx: Query[Admin]) -> LedgerAuditView | None:
    """What the last audit of the ledger found, or null before the first."""
    last = await ctx.db.get(LedgerAudit, LEDGER_AUDIT_ID)
    if last is None:
        return None
    return LedgerAuditView(audited_at=last.audited_at, has_failed=last.has_failed, imbalanced=last.imbalanced)


def _view(row: Vitals) -> ProcessView:
    return ProcessView(
        name=row.id,
        role=row.role,
        version=row.version,
        started_at=row.started_at,
        sockets=row.sockets,
        live_queries=row.live_queries,
        answers=row.answers,
        jobs_running=row.jobs_running,
        feed_lag_ms=row.feed_lag,
        push_p50_ms=row.push_p50,
        push_p99_ms=row.push_p99,
        resident_bytes=row.resident_bytes,
    )
