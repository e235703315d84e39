"""The world outside the tortured deployment: a bank that delivers every order more than once, and a model in many moods."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Sequence

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tests.support.gemini import GeminiSite, Scenario, cuts, finished, stalls, told
from tests.support.http import http_client
from tests.support.webhooks import sign

PACK, PRICE_CENTS = 8, 500
REFUNDS = 0.4
DELIVERY_S = 10.0
ACCEPTED = 202
AGAIN_S = (0.05, 0.3)
SLOWEST_DRAWING_S = 1.5


class Sale(msgspec.Struct):
    """One order as the bank knows it: who bought it, and how much of it has gone back."""

    name: str
    refunded_cents: int = 0
    changes: int = 0

    @property
    def revoked(self) -> int:
        """How many of its credits are taken back in the end."""
        return PACK * self.refunded_cents // PRICE_CENTS


class Bank:
    """Sells packs of credits as Polar does, by signed webhooks: each is delivered twice at once, and again later.

    Some orders are refunded, in part or in full, and now and then that is heard of before the payment is.
    """

    def __init__(self, urls: Sequence[str], secret: str, chance: random.Random) -> None:
        self._urls, self._secret, self._chance = urls, secret, chance
        self._http = http_client(timeout=DELIVERY_S)
        self.sales: list[Sale] = []
        self.repeated = self.failed = 0

    async def sell(self, name: str) -> None:
        """Deliver a new order, and sometimes an old one again, or one that goes back."""
        self.sales.append(Sale(name))
        number, again = len(self.sales) - 1, self._chance.randrange(len(self.sales))
        paid = self._event(number, "order.paid")
        repeated = self._event(again, "order.paid")
        await asyncio.gather(self._deliver(paid), self._deliver(paid), self._deliver(repeated), self._refund(again))

    async def close(self) -> None:
        """Sell no more."""
        await self._http.aclose()

    async def _refund(self, number: int) -> None:
        sale = self.sales[number]
        if self._chance.random() < REFUNDS and sale.refunded_cents < PRICE_CENTS:
            sale.refunded_cents += PRICE_CENTS // 2
            sale.changes += 1
            refund = self._event(number, "order.refunded")
            await asyncio.gather(self._deliver(refund), self._deliver(refund))

    def _event(self, number: int, kind: str) -> bytes:
        """The order as Polar tells of it: what was paid stays as it was, a refund is younger."""
        sale, is_refund = self.sales[number], kind == "order.refunded"
        back = sale.refunded_cents if is_refund else 0
        status = "paid" if not back else "refunded" if back == PRICE_CENTS else "partially_refunded"
        order = {
            "id": f"order-{number}", "status": status, "created_at": "2026-11-20T10:00:00Z",
            "modified_at": f"2026-11-20T10:00:{1 + (sale.changes if is_refund else 0):02}Z",
            "net_amount": PRICE_CENTS, "refunded_amount": back, "currency": "usd", "billing_reason": "purchase",
            "customer_id": f"customer-{sale.name}",
            "metadata": {"userId": sale.name, "packs": 1, "creditsPerPack": PACK},
        }  # fmt: skip
        return json.dumps({"type": kind, "data": order}).encode()

    async def _deliver(self, body: bytes) -> None:
        """Send until it is taken, as Polar does."""
        message_id = f"msg_{self._chance.getrandbits(96):x}"
        while True:
            headers = sign(self._secret.encode(), body, message_id, time.time())
            try:
                reply = await self._http.post(
                    f"{self._chance.choice(self._urls)}/webhooks/polar", content=body, headers=headers
                )
            except httpx.HTTPError:
                self.failed += 1
            else:
                if reply.status_code == ACCEPTED:
                    self.repeated += reply.json()["skipped"]
                    return
                if reply.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                    raise AssertionError(f"a webhook was refused: {reply.status_code} {reply.text}")
                self.failed += 1
            await asyncio.sleep(self._chance.uniform(*AGAIN_S))


def slowly(seconds: float) -> Scenario:
    """A picture after a while."""

    def scenario(site: GeminiSite, request: Request) -> Response:
        drawn = bytes(told("success.200")(site, request).body)

        async def body() -> AsyncIterator[bytes]:
            await asyncio.sleep(seconds)
            yield drawn

        return StreamingResponse(body(), media_type="application/json")

    return scenario


def moods(chance: random.Random, count: int) -> list[Scenario]:
    """What the model does, call by call: it draws mostly, refuses now and then, and sometimes fails in every way."""
    refuses, sorry, nothing = told("finish_image_safety.200"), told("error.503"), finished("STOP")
    return [
        chance.choices(
            [slowly(chance.uniform(0, SLOWEST_DRAWING_S)), refuses, sorry, cuts, nothing, stalls],
            weights=[66, 14, 7, 6, 5, 2],
        )[0]
        for _ in range(count)
    ]
