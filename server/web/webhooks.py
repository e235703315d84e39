"""The routes of webhooks: verify the bytes, apply the event in one transaction, answer in milliseconds.

Invariant: a body whose signature is wrong is neither parsed nor stored, so strangers cannot make the database work. 2xx means
that the event is done with; whatever could still be done later is answered with 5xx, and its sender sends it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schema.deliveries import Delivery, Provider
from schema.errors import NotUnique, StoreUnavailable, WriteConflict
from schema.values import Id, Millis
from schema.writer import Writer
from server.auth.errors import SignatureRefused
from server.auth.signatures import HeaderPrefix, verify
from server.database import Database
from server.functions.clerk_events import ClerkEvent, upsert_from_clerk_webhook
from server.functions.deliveries import Applied, delivery_id
from server.functions.polar_events import UnreadableOrder, receive
from server.providers.polar_wire import Event
from server.web.bodies import BodyTooLarge, BodyTooSlow, read_body
from server.web.calls import error_response
from server.web.refusals import RefusalResponse, Refused, busy

MAX_BODY_BYTES = 1 << 20
DEADLINE_S = 8.0
"""Polar waits for ten seconds and then sends it again, while we might still be at it."""
MAX_TRIES = 3

E = TypeVar("E", Event, ClerkEvent)
Apply = Callable[[Writer], Awaitable[Applied]]

log = logging.getLogger("anime.webhooks")


class Unreadable(Exception):
    """Signed, and no event: its sender's mistake."""


class Webhooks:
    """Receives what payment and identity providers have to say, and counts it."""

    def __init__(
        self,
        database: Database,
        *,
        polar_secrets: Sequence[str],
        clerk_secrets: Sequence[str],
        product_id: str | None,
        clock: Callable[[], Millis],
    ) -> None:
        self._database, self._clock, self._product_id = database, clock, product_id
        self._secrets: dict[Provider, Sequence[str]] = {"polar": polar_secrets, "clerk": clerk_secrets}
        self.received = self.refused = self.failed = 0

    def __repr__(self) -> str:
        return f"<Webhooks {self.received} received, {self.refused} refused, {self.failed} failed>"

    def routes(self) -> list[Route]:
        """What to mount."""
        return [
            Route("/webhooks/polar", self._polar, methods=["POST"]),
            Route("/polar/orders", self._polar, methods=["POST"]),
            Route("/webhooks/clerk", self._clerk, methods=["POST"]),
        ]

    def metrics(self) -> Mapping[str, float]:
        """What came in. `failed` were good and could not be applied then; they come again."""
        return {
            "anime_webhooks_received_total": self.received,
            "anime_webhooks_refused_total": self.refused,
            "anime_webhooks_failed_total": self.failed,
        }

    async def _polar(self, request: Request) -> Response:
        def work(event: Event, row_id: Id[Delivery]) -> Apply:
            return lambda db: receive(db, row_id, event, self._product_id)

        return await self._receive(request, "polar", "webhook", Event, work)

    async def _clerk(self, request: Request) -> Response:
        def work(event: ClerkEvent, row_id: Id[Delivery]) -> Apply:
            return lambda db: upsert_from_clerk_webhook(db, row_id, event)

        return await self._receive(request, "clerk", "svix", ClerkEvent, work)

    async def _receive(
        self,
        request: Request,
        provider: Provider,
        prefix: HeaderPrefix,
        shape: type[E],
        work: Callable[[E, Id[Delivery]], Apply],
    ) -> Response:
        try:
            body = await read_body(request, MAX_BODY_BYTES)
            message_id = verify(request.headers, body, self._secrets[provider], self._clock(), prefix)
        except BodyTooLarge:
            return RefusalResponse(Refused(413, "RequestTooLarge", "The body is too large."), unread=True)
        except BodyTooSlow:
            return error_response(408, "RequestTimeout", "The body did not arrive in time.")
        except SignatureRefused as refused:
            self.refused += 1
            log.warning("a webhook was refused: %s", refused, extra={"action": "webhook.refused", "kind": provider})
            return error_response(403, "Forbidden", "The signature was not accepted.")
        self.received += 1
        row_id = delivery_id(provider, message_id)
        try:
            event = _event(body, shape)
            applied = await self._apply(work(event, row_id))
        except Unreadable:
            log.error("%s is signed and is no event", row_id, extra={"action": "webhook.unreadable", "kind": provider})
            return error_response(400, "BadRequest", "The body must be JSON of the form {type, data}.")
        except UnreadableOrder as error:
            self.failed += 1
            log.error("%s: %s", row_id, error, extra={"action": "webhook.unreadable", "kind": provider})
            return error_response(500, "InternalServerError", "This order cannot be read.")
        except (StoreUnavailable, WriteConflict, NotUnique, TimeoutError) as error:
            self.failed += 1
            log.error("%s: %s", row_id, type(error).__name__, extra={"action": "webhook.failed", "kind": provider})
            return RefusalResponse(busy("The event cannot be stored right now. Please send it again."))
        except Exception:
            self.failed += 1
            raise
        return _answer(row_id, event, applied)

    async def _apply(self, work: Apply) -> Applied:
        """Apply in a transaction. Where somebody else was faster, a second look finds what they wrote."""
        async with asyncio.timeout(DEADLINE_S):
            for _ in range(MAX_TRIES - 1):
                try:
                    return (await self._database.transact(work))[0]
                except NotUnique:
                    continue
            return (await self._database.transact(work))[0]


def _event(body: bytes, shape: type[E]) -> E:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable from None


def _answer(row_id: Id[Delivery], event: Event | ClerkEvent, applied: Applied) -> Response:
    about = {"action": "webhook.applied", "kind": event.type}
    if applied.flaw is not None:
        log.error("%s is known and cannot be read: %s", row_id, applied.flaw, extra=about)
    elif applied.warning is not None:
        log.warning("%s: %s", row_id, applied.warning, extra=about)
    else:
        log.info("%s: %s", row_id, applied.outcome, extra=about)
    content = {"granted": applied.granted, "skipped": applied.skipped}
    return Response(msgspec.json.encode(content), 202, media_type="application/json")
