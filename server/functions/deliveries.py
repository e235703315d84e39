"""Received webhooks: each is applied once by its id, in one transaction with the row that says so."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

import msgspec

from schema.deliveries import Delivery, DeliveryOutcome, Provider
from schema.values import Id, Millis, days
from schema.writer import Writer

LIFETIME: Millis = days(90)
"""As long as Polar keeps its events and can send them again."""
MAX_PLAIN_ID_CHARS = 48
MAX_KIND_CHARS = 64
MAX_SUBJECT_CHARS = 255


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook led to; `skipped` when it told us nothing new. `flaw` and `warning` are for the log, after the commit."""

    subject: str
    outcome: DeliveryOutcome
    granted: int = 0
    skipped: bool = False
    flaw: str | None = None
    warning: str | None = None


class Thing(msgspec.Struct, frozen=True):
    """What almost every event is about."""

    id: str = ""


def delivery_id(provider: Provider, message_id: str) -> Id[Delivery]:
    """The id of the delivery's row. A long message id is shortened by its digest: an id of ours has a limit."""
    if len(message_id) > MAX_PLAIN_ID_CHARS:
        message_id = hashlib.sha256(message_id.encode()).hexdigest()[:MAX_PLAIN_ID_CHARS]
    return Id(f"{provider}:{message_id}")


def subject_of(body: msgspec.Raw) -> str:
    """What an event is about that we do not know; empty when it does not say."""
    try:
        return msgspec.json.decode(body, type=Thing).id[:MAX_SUBJECT_CHARS]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


async def once(
    db: Writer, row_id: Id[Delivery], provider: Provider, kind: str, apply: Callable[[], Awaitable[Applied]]
) -> Applied:
    """Apply a webhook and remember it; one that is remembered is skipped, and nothing is written."""
    earlier = await db.get(Delivery, row_id)
    if earlier is not None:
        return Applied(subject=earlier.subject, outcome="skipped", skipped=True)
    applied = await apply()
    await db.insert(
        Delivery(
            id=row_id,
            provider=provider,
            kind=kind[:MAX_KIND_CHARS],
            subject=applied.subject[:MAX_SUBJECT_CHARS],
            outcome=applied.outcome,
            received_at=db.now,
            expires_at=db.now + LIFETIME,
        )
    )
    return applied
