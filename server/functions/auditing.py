"""Auditing and pruning: balances are held against their proof, and settled jobs are forgotten after a while."""

from __future__ import annotations

import logging
from functools import partial

from jobs.states import SETTLED
from schema.system import Job
from schema.values import Millis, days
from schema.writer import Writer
from server.database import Database
from server.store.audit import imbalances

KEPT_FOR: Millis = days(30)
BATCH = 200

log = logging.getLogger("anime.ledger")


class Auditor:
    """Holds the ledger against the balances. It reports and repairs nothing: wrong money is for people to decide about."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.imbalanced = 0
        self.audits = 0

    def __repr__(self) -> str:
        return f"<Auditor {self.audits} audits, {self.imbalanced} imbalances in the last>"

    async def audit(self, job: Job) -> None:
        """Compare everybody at one moment, and be loud about every difference."""
        store = self._database.store
        found = await imbalances(store, await store.newest())
        self.audits, self.imbalanced = self.audits + 1, len(found)
        for each in found:
            log.critical(
                "LEDGER: a member's balance is %d, and their movements sum to %d",
                each.credits,
                each.ledger,
                extra={"action": "ledger.imbalance", "subject": each.user_id},
            )

    async def prune(self, job: Job) -> None:
        """Forget jobs that were settled long ago, in small transactions; what died stays until somebody has looked."""
        before = job.created_at - KEPT_FOR
        for state in sorted(SETTLED - {"dead"}):
            while (await self._database.transact(partial(_prune, state=state, before=before)))[0]:
                continue


async def _prune(db: Writer, state: str, before: Millis) -> bool:
    old = await db.take(Job.by_state_and_due.eq(state=state).below(before), BATCH)
    for job in old:
        await db.delete(job)
    return len(old) == BATCH
