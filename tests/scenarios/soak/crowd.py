"""The crowd: thousands of visitors in a process of its own, who come and go, and are asked at the end what they see.

Run by the soak as `python -m tests.scenarios.soak.crowd`: orders on stdin, words on stdout, a line of JSON each. Its processor
time is told, so that a report can say whether this was the bottleneck.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import time
from collections import defaultdict
from typing import Any

import httpx
import msgspec
import uvloop
from msgspec import Raw

from tests.scenarios.soak.figures import Latencies, difference
from tests.scenarios.soak.visitor import ASKED, FIRST_MARK, GALLERY, PAGE, Seen, Visitor
from tests.support.http import http_client

TICK_S, TOLD_EVERY_S = 0.1, 5.0
LONGEST_AWAY_S = 3.0
AGAIN = 0.5
"""Of those who come, so many have been here before, and say up to which moment they have seen."""
ARRIVALS_PER_S = 400
SETTLE_S, LOOK_S = 120.0, 0.25
FRESH_AT_ONCE, FRESH_TRIES = 8, 6


class Wanted(msgspec.Struct, frozen=True):
    """What sort of crowd."""

    seed: int
    visitors: int
    pictures: int
    ports: list[int]
    survivor: int
    """The port where fresh answers are read in the end."""
    churn: float
    """The share of them that leaves each second."""


class Crowd:
    """Everybody, and what they saw."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted, self._chance, self.seen = wanted, random.Random(f"{wanted.seed} crowd"), Seen()
        self._delays = Latencies()
        self.visitors = [self._visitor(number) for number in range(wanted.visitors)]
        self._walks: set[asyncio.Task[None]] = set()
        self.left = 0

    def __repr__(self) -> str:
        return f"<Crowd of {len(self.visitors)}, {self.seen.online} online>"

    def _visitor(self, number: int) -> Visitor:
        picture = f"stage-page-{number % self._wanted.pictures}"
        return Visitor(random.Random(self._chance.random()), picture, self._wanted.ports, self.seen)

    async def arrive(self) -> None:
        """All come, not faster than a deployment of this size is built up."""
        for number, each in enumerate(self.visitors):
            each.come()
            if number % ARRIVALS_PER_S == ARRIVALS_PER_S - 1:
                await asyncio.sleep(1)

    async def churn(self) -> None:
        """Some leave, and are back or have sent somebody else a moment later; for ever. Notes how late this loop is."""
        due, owed = time.monotonic(), 0.0
        while True:
            due += TICK_S
            await asyncio.sleep(due - time.monotonic())
            late = time.monotonic() - due
            self._delays.add(time.monotonic(), late * 1e3)
            due = max(due, time.monotonic() - TICK_S)
            owed += len(self.visitors) * self._wanted.churn * TICK_S
            while owed >= 1:
                owed -= 1
                walk = asyncio.create_task(self._walk(self._chance.randrange(len(self.visitors))))
                self._walks.add(walk)
                walk.add_done_callback(self._walks.discard)

    async def _walk(self, number: int) -> None:
        gone = self.visitors[number]
        self.left += 1
        await gone.leave()
        await asyncio.sleep(self._chance.uniform(0, LONGEST_AWAY_S))
        if self.visitors[number] is gone:  # who was picked twice is replaced once
            if self._chance.random() >= AGAIN:
                self.visitors[number] = self._visitor(number)
            await gone.leave()
            self.visitors[number].come()

    async def settle(self, mark: int) -> int:
        """Wait until everybody shows the last write of all; how many do not in the end."""
        await asyncio.gather(*self._walks)
        end = time.monotonic() + SETTLE_S
        while (waiting := sum(not each.shows(mark) for each in self.visitors)) and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        return waiting

    async def compare(self) -> tuple[int, int, list[str]]:
        """Hold what each visitor shows against a fresh read: how many answers, how many reads, and what differs."""
        shown: dict[tuple[str, str, bytes], int] = defaultdict(int)
        for each in self.visitors:
            for path, query_id in ((GALLERY, each.gallery), (PAGE, each.page)):
                answer = each.machine.answer(query_id)
                held = bytes(answer) if isinstance(answer, Raw) else json.dumps(repr(answer)).encode()
                shown[path, each.picture if path == PAGE else "", held] += 1
        at_once, wrong = asyncio.Semaphore(FRESH_AT_ONCE), []
        async with http_client(timeout=30.0) as http:

            async def look(path: str, picture: str, held: bytes, count: int) -> None:
                async with at_once:
                    args = {"imageId": picture} if picture else page_as_held(ASKED, json.loads(held))
                    found = await fresh(http, f"http://127.0.0.1:{self._wanted.survivor}", path, args)
                if (differs := difference(held, found)) is not None:
                    wrong.append(f"LOST UPDATE: {count} visitors' {path} {picture}: {differs}")

            await asyncio.gather(*(look(*each, count) for each, count in shown.items()))
        return sum(shown.values()), len(shown), wrong

    def told(self) -> dict[str, Any]:
        """What they saw."""
        seen = self.seen
        return {
            "gallery": seen.pushes[GALLERY].told(),
            "page": seen.pushes[PAGE].told(),
            "late": seen.late.told(),
            "openings": seen.openings.told(),
            "returns": seen.returns.told(),
            "delays": self._delays.told(),
            "troubles": dict(seen.troubles),
            "problems": seen.problems,
            "left": self.left,
        }


def page_as_held(asked: dict[str, Any], held: Any) -> dict[str, Any]:
    """A page's arguments with the end that was once chosen for it, up to which it is read again."""
    end = held.get("continueCursor") if isinstance(held, dict) else None
    return {"paginationOpts": {**asked["paginationOpts"], **({"endCursor": end} if end else {})}}


async def fresh(
    http: httpx.AsyncClient, url: str, path: str, args: dict[str, Any], headers: dict[str, str] | None = None
) -> Any:
    """What a query answers now; a read that fails says nothing about anybody's answers, and is tried again."""
    for left in reversed(range(FRESH_TRIES)):
        try:
            reply = await http.post(f"{url}/api/query", json={"path": path, "args": args}, headers=headers)
            answer = reply.raise_for_status().json()
        except httpx.HTTPError as error:
            if not left:
                return f"not to be read: {error!r}"
            await asyncio.sleep(LOOK_S)
        else:
            return answer["value"] if answer["status"] == "success" else answer
    return None


async def main() -> None:
    """Until stdin closes."""
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    crowd = Crowd(msgspec.json.decode(await orders.readline(), type=Wanted))
    telling = asyncio.create_task(_tell(crowd))
    await crowd.arrive()
    await crowd.settle(FIRST_MARK)
    churning = asyncio.create_task(crowd.churn())
    _say({"arrived": crowd.seen.online})
    while order := await orders.readline():
        match json.loads(order):
            case {"settle": int(mark)}:
                churning.cancel()
                _say({"unsettled": await crowd.settle(mark)})
            case {"compare": True}:
                answers, reads, wrong = await crowd.compare()
                _say({"answers": answers, "reads": reads, "wrong": wrong, **crowd.told()})
    telling.cancel()


async def _tell(crowd: Crowd) -> None:
    """How it goes, again and again."""
    while True:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _say({"online": crowd.seen.online, "processor_s": used.ru_utime + used.ru_stime})
        await asyncio.sleep(TOLD_EVERY_S)


def _say(words: dict[str, Any]) -> None:
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
