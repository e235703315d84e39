"""Where the house stands, as the database has it: the last audit of the ledger, and when providers last told us something.

Read through the feed: again when one of them is written, and at no other time. Every process has it, so that each of them
knows what a worker found.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar, get_args

from schema.billing import LEDGER_AUDIT_ID, LedgerAudit
from schema.deliveries import Delivery, Provider
from schema.errors import SchemaError
from schema.reader import Reader
from schema.values import Millis
from server.feed import HubFeed

T = TypeVar("T")

PROVIDERS: Final[tuple[Provider, ...]] = get_args(Provider)
PAUSE_S = 0.5
"""Between two looks: webhooks come in bursts."""
LONG_PAUSE_S = 30.0

log = logging.getLogger("anime.standing")


class Standing:
    """What was seen last. The audit is looked at on its own: whatever else cannot be read does not hide it."""

    def __init__(self, feed: HubFeed, clock: Callable[[], Millis]) -> None:
        self._feed, self._clock = feed, clock
        self._is_known = False
        self.audit: LedgerAudit | None = None
        self.told_at: Mapping[Provider, Millis] = {}

    def __repr__(self) -> str:
        return f"<Standing {self.audit}, {self.told_at}>"

    @property
    def ledger_is_doubtful(self) -> bool:
        """Did the last audit find a difference that nobody has acknowledged, or has it not been looked at yet?"""
        return not self._is_known or (self.audit is not None and self.audit.has_failed)

    async def begin(self) -> None:
        """Look at the audit for the first time, before anybody is sent here. What cannot be read stays doubtful."""
        try:
            audit, _ = await self._feed.look(_audit)
        except SchemaError as error:
            log.warning("the last audit cannot be read: %s", error, extra={"action": "standing.unseen"})
        else:
            self._take_audit(audit)

    async def run(self) -> None:
        """Follow for ever. While the database is away, what was seen last stands."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(_audit, self._take_audit))
            group.create_task(self._follow(_told_at, self._take_told_at))

    def _take_audit(self, audit: LedgerAudit | None) -> None:
        self.audit, self._is_known = audit, True

    def _take_told_at(self, told_at: Mapping[Provider, Millis]) -> None:
        self.told_at = told_at

    async def _follow(self, read: Callable[[Reader], Awaitable[T]], take: Callable[[T], None]) -> None:
        while True:
            try:
                seen, change = await self._feed.look(read)
                take(seen)
                await change.wait()
            except SchemaError as error:
                log.debug("the standing cannot be read: %s", error, extra={"action": "standing.unseen"})
            except Exception:  # a row that we do not understand is no reason to end everything else
                log.exception("the standing is not understood", extra={"action": "standing.broken"})
                await asyncio.sleep(LONG_PAUSE_S)
            await asyncio.sleep(PAUSE_S)

    def metrics(self) -> Mapping[str, float]:
        """By metric name; nothing of what has never happened."""
        now = self._clock()
        ages = {f'anime_webhook_age_seconds{{provider="{each}"}}': at for each, at in self.told_at.items()}
        since = {name: max(0.0, now - at) / 1_000 for name, at in ages.items()}
        if self.audit is None:
            return since
        return {
            **since,
            "anime_ledger_imbalanced_members": self.audit.imbalanced,
            "anime_ledger_audit_failed": float(self.audit.has_failed),
            "anime_ledger_audit_age_seconds": max(0.0, now - self.audit.audited_at) / 1_000,
        }


async def _audit(db: Reader) -> LedgerAudit | None:
    return await db.get(LedgerAudit, LEDGER_AUDIT_ID)


async def _told_at(db: Reader) -> Mapping[Provider, Millis]:
    told_at: dict[Provider, Millis] = {}
    for provider in PROVIDERS:
        last = await db.one(Delivery.by_provider_and_received.eq(provider=provider).newest_first())
        if last is not None:
            told_at[provider] = last.received_at
    return told_at
