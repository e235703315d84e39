"""The world outside the tortured deployment: a bank that delivers every order more than once, and a model in many moods."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from schema.errors import NotUnique, StoreUnavailable, WriteConflict
from schema.writer import Writer
from server.database import Database
from server.functions import ledger
from tests.support.gemini import GeminiSite, Scenario, cuts, finished, stalls, told

PACK = 8
AGAIN_S = (0.05, 0.3)
SLOWEST_DRAWING_S = 1.5


class Bank:
    """Sells packs of credits: each order is delivered twice at once, and again later."""

    def __init__(self, database: Database, chance: random.Random) -> None:
        self._database, self._chance = database, chance
        self._sold: list[str] = []
        self.orders: list[str] = []
        self.repeated = 0

    async def sell(self, name: str) -> None:
        """Deliver a new order, and sometimes an old one again."""
        self._sold.append(name)
        order = len(self._sold) - 1
        again = self._chance.randrange(len(self._sold))
        await asyncio.gather(self._deliver(order), self._deliver(order), self._deliver(again))
        self.orders.append(f"order:{order}")

    async def _deliver(self, order: int) -> None:
        name, key = self._sold[order], f"order:{order}"

        async def work(db: Writer) -> None:
            user = await ledger.ensure_user(db, name)
            await ledger.move(db, user, PACK, "order", key=key, order_id=str(order))

        while True:
            try:
                await self._database.transact(work)
            except NotUnique as taken:  # a newcomer's account may be made by somebody else at this moment
                if taken.table == "ledger":
                    self.repeated += 1
                    return
            except (StoreUnavailable, WriteConflict):
                await asyncio.sleep(self._chance.uniform(*AGAIN_S))
            else:
                return


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
