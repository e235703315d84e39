"""Auditing and pruning: balances are held against their proof, and settled jobs are forgotten after a while."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from functools import partial

from jobs.states import SETTLED
from schema.billing import LEDGER_AUDIT_ID, LedgerAudit
from schema.system import Job
from schema.values import Millis, days
from schema.writer import Writer
from server.database import Database
from server.store.audit import Imbalance, imbalances

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
        """Compare everybody at one moment, be loud about every difference, and write down the verdict for all processes."""
        found = await self.look()
        self.audits, self.imbalanced = self.audits + 1, len(found)
        for each in found:
            log.critical(
                "LEDGER: a member's balance is %d, and their movements sum to %d",
                each.credits,
                each.ledger,
                extra={"action": "ledger.imbalance", "user": each.user_id},
            )

    async def look(self, *, acknowledge: bool = False) -> Sequence[Imbalance]:
        """Compare, and write down the verdict; with `acknowledge` these differences fail no audit from now on."""
        store = self._database.store
        found = await imbalances(store, await store.newest())
        await self._database.transact(partial(_write_down, found=found, acknowledge=acknowledge))
        return found

    async def prune(self, job: Job) -> None:
        """Forget jobs that were settled long ago, in small transactions; what died stays until somebody has looked."""
        before = job.created_at - KEPT_FOR
        for state in sorted(SETTLED - {"dead"}):
            while (await self._database.transact(partial(_prune, state=state, before=before)))[0]:
                continue


async def _write_down(db: Writer, found: Sequence[Imbalance], acknowledge: bool) -> None:
    last = await db.get(LedgerAudit, LEDGER_AUDIT_ID)
    differences = _words(found)
    acknowledged = differences or None if acknowledge else None if last is None else last.acknowledged
    verdict = LedgerAudit(
        id=LEDGER_AUDIT_ID, audited_at=db.now, imbalanced=len(found), differences=differences, acknowledged=acknowledged
    )
    await db.put(verdict)


def _words(found: Sequence[Imbalance]) -> str:
    """A word for each difference that names it and no other. What people do meanwhile moves both sides, so it changes nothing."""
    named = (f"{each.user_id} {each.credits - each.ledger}".encode() for each in found)
    return " ".join(sorted(hashlib.blake2b(each, digest_size=16).hexdigest() for each in named))


async def _prune(db: Writer, state: str, before: Millis) -> bool:
    old = await db.take(Job.by_state_and_due.eq(state=state).below(before), BATCH)
    for job in old:
        await db.delete(job)
    return len(old) == BATCH
