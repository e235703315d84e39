"""Asking Polar ourselves: what no webhook has told us is brought by the same mutation, so a lost one costs minutes and no money.

Invariant: `reached_at` never passes an order that was not seen, or was seen before its fate was decided.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from jobs.outcome import Done, Outcome
from jobs.patience import NOT_NOW
from jobs.queue import JobSpec
from jobs.seams import Clock
from schema.billing import CheckoutSession
from schema.deliveries import RECONCILIATION_ID, Reconciliation
from schema.document import Range
from schema.errors import NotUnique
from schema.system import Job
from schema.values import Id, Millis, days, hours, minutes
from schema.writer import Writer
from server.database import Database
from server.functions.checkout_states import EXPIRED, apply_checkout, move
from server.functions.chores import Chore
from server.functions.order_rules import PAID
from server.functions.orders import apply_order
from server.providers.polar import Listing, PolarClient
from server.providers.polar_outcomes import PolarFailed
from server.providers.polar_wire import Order, Refund, moment

T = TypeVar("T", Order, Refund)

FIRST_LOOK_BACK: Millis = days(30)
OVERLAP: Millis = hours(1)
"""Clocks differ, and what was created may be listed a little later."""
MAX_PAGES = 50
UNASKED_FOR: Millis = minutes(1)
"""So long a checkout's webhooks have time to come by themselves."""
OVERDUE_AFTER: Millis = hours(48)
"""Twice as long as Polar keeps a payment page open."""
MAX_SESSIONS = 100
UNDECIDED: Final = frozenset({"draft", "pending"})
"""What may still become a paid order or a refund, long after it was created."""
MAX_UNDECIDED: Millis = days(14)
MAX_TRIES = 3
RECONCILE: Final = "reconcile"
"""The kind of event that brings an order here."""

log = logging.getLogger("anime.reconcile")


class _Seen:
    """What one comparison has come by."""

    __slots__ = ("began", "is_all", "orders", "reached")

    def __init__(self, began: Millis) -> None:
        self.began = self.reached = began
        self.orders: set[str] = set()
        self.is_all = True

    def __repr__(self) -> str:
        return f"<_Seen {len(self.orders)} orders, reached {self.reached}>"

    def leave(self, each: Order | Refund) -> None:
        """Its fate is not decided: come back to it, for a while."""
        created_at = _created_at(each)
        if created_at is not None and created_at > self.began - MAX_UNDECIDED:
            self.reached = min(self.reached, created_at)


class Reconciler:
    """Compares Polar's orders, refunds and checkouts with our books, as far as they were not compared before."""

    def __init__(
        self,
        database: Database,
        polar: PolarClient,
        *,
        product_id: str | None,
        clock: Clock,
        max_pages: int = MAX_PAGES,
    ) -> None:
        self._database, self._polar, self._product_id = database, polar, product_id
        self._clock, self._max_pages = clock, max_pages

    def __repr__(self) -> str:
        return f"<Reconciler with {self._polar!r}>"

    async def reconcile(self, job: Job) -> None:
        """Compare once. Raises `PolarFailed`; what was applied until then stays applied."""
        seen = _Seen(self._clock())
        (row, _) = await self._database.transact(lambda db: _row(db, seen.began))
        since = row.reached_at - OVERLAP
        async for order in self._fresh(since, self._polar.list_orders, seen):
            seen.orders.add(order.id)
            if order.status in PAID and not await self._apply(order):
                seen.leave(order)
        moved = await self._sessions(seen.began)
        async for refund in self._fresh(since, self._polar.list_refunds, seen):
            if refund.order_id not in seen.orders and not await self._refunded(refund.order_id):
                seen.leave(refund)
        reached = max(row.reached_at, seen.reached) if seen.is_all else row.reached_at
        if not seen.is_all:
            log.warning("polar has more than can be read at once", extra={"action": "reconcile.too_much"})
        (found, _) = await self._database.transact(lambda db: _reach(db, reached, seen.began))
        log.info(
            "reconciled: %d orders seen, %d news, %d checkouts moved",
            *(len(seen.orders), found - row.found, moved),
            extra={"action": "reconcile.done"},
        )

    async def _fresh(
        self, since: Millis, listed: Callable[[int], Awaitable[Listing[T]]], seen: _Seen
    ) -> AsyncIterator[T]:
        """What was created since then, newest first."""
        for page in range(1, self._max_pages + 1):
            listing = await listed(page)
            for each in listing.items:
                if (created_at := _created_at(each)) is not None and created_at < since:
                    return
                if each.status in UNDECIDED:
                    seen.leave(each)
                yield each
            if listing.is_last:
                return
        seen.is_all = False

    async def _apply(self, order: Order) -> bool:
        """Feed one order to the mutation that webhooks use. False where it breaks, which is no other order's harm."""

        async def work(db: Writer) -> None:
            result = await apply_order(db, order, RECONCILE, product_id=self._product_id)
            if result.outcome == "applied":
                await _count(db)

        for _ in range(MAX_TRIES):
            try:
                await self._database.transact(work)
            except NotUnique:
                continue  # a webhook brings it at this moment; a second look finds what that wrote
            except NOT_NOW:
                raise
            except Exception:
                log.exception("the order %s cannot be applied", order.id, extra={"action": "reconcile.broken"})
                return False
            return True
        return False

    async def _refunded(self, order_id: str) -> bool:
        """Feed an order of which only a refund is recent."""
        try:
            order = await self._polar.get_order(order_id)
        except PolarFailed as failed:
            if not failed.is_not_offered:
                raise
            return True
        return await self._apply(order)

    async def _sessions(self, now: Millis) -> int:
        """Ask how pending checkouts have ended, and end those that nobody will pay any more; how many moved."""
        pending = CheckoutSession.by_status_and_created.eq(status="pending")
        recent = pending.at_least(now - OVERDUE_AFTER).below(now - UNASKED_FOR).newest_first()
        moved = 0
        for session in await self._some(recent):
            moved += await self._ask(session)
        for session in await self._some(pending.below(now - OVERDUE_AFTER)):
            moved += await self._ask(session) or await self._end(session.id)
        return moved

    async def _some(self, sessions: Range[CheckoutSession]) -> list[CheckoutSession]:
        return await (await self._database.newest()).take(sessions, MAX_SESSIONS)

    async def _ask(self, session: CheckoutSession) -> bool:
        if session.checkout_id is None:
            return False
        try:
            checkout = await self._polar.get_checkout(session.checkout_id)
        except PolarFailed as failed:
            if not failed.is_not_offered:
                raise
            return False
        return (await self._database.transact(lambda db: apply_checkout(db, checkout)))[0] == "applied"

    async def _end(self, session_id: Id[CheckoutSession]) -> bool:
        async def work(db: Writer) -> bool:
            session = await db.get(CheckoutSession, session_id)
            return session is not None and await move(db, session, "expire", EXPIRED)

        return (await self._database.transact(work))[0]


class ReconcileOrders(Chore):
    """Runs `reconcile_orders` jobs. `is_optional`: there may be no Polar to ask, as in a development worker without the web."""

    def __init__(self, spec: JobSpec, reconciler: Reconciler, *, is_optional: bool) -> None:
        super().__init__(spec, reconciler.reconcile)
        self._is_optional = is_optional

    async def run(self, job: Job) -> Outcome:
        """Compare; while Polar is away, later."""
        try:
            return await super().run(job)
        except PolarFailed as failed:
            if not self._is_optional or not (failed.is_not_offered or failed.is_unreachable):
                return failed.outcome
            log.info("there is no development checkout to ask", extra={"action": "reconcile.nobody"})
            return Done(_nothing_more)


def _created_at(each: Order | Refund) -> Millis | None:
    """When it came to be; None where that cannot be read."""
    try:
        return moment(each.created_at)
    except (ValueError, OverflowError):
        return None


async def _row(db: Writer, now: Millis) -> Reconciliation:
    row = await db.get(Reconciliation, RECONCILIATION_ID)
    if row is None:
        row = await db.insert(Reconciliation(id=RECONCILIATION_ID, reached_at=now - FIRST_LOOK_BACK, ran_at=now))
    return row


async def _reach(db: Writer, reached_at: Millis, ran_at: Millis) -> int:
    row = await db.need(Reconciliation, RECONCILIATION_ID)
    return (await db.patch(row, reached_at=reached_at, ran_at=ran_at)).found


async def _count(db: Writer) -> None:
    row = await db.need(Reconciliation, RECONCILIATION_ID)
    await db.patch(row, found=row.found + 1)


async def _nothing_more(db: Writer) -> None:
    return None
