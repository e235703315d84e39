"""Time never goes back for a client: not across a dropped line, a server killed and started anew, or two web processes.

Invariant of every story: no transition is older than anything its client was told before, on whatever socket.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from msgspec import Raw

from subscriptions.client import ClientMachine
from subscriptions.events import Advanced, MutationSettled
from tests.support.http import http_client
from tests.support.processes import DEADLINE_S, Deployment, Line, line, open_deployment, running
from tests.support.proxy import Proxy
from tests.support.world import free_port

HOPS = 8
TRIAL_CREDITS = 10
CREDITS, ADJUST = "users:getCurrentUserCredits", "admin:adjustCredits"
ALL = {"paginationOpts": {"numItems": 1_000, "cursor": None}}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A patient HTTP client."""
    async with http_client(timeout=DEADLINE_S) as client:
        yield client


@pytest.fixture
async def deployment(mongod_uri: str, tmp_path: Path, http: httpx.AsyncClient) -> AsyncIterator[Deployment]:
    """An empty database for processes to share."""
    async with open_deployment(mongod_uri, tmp_path, http) as opened:
        yield opened


class Traveller:
    """One client over many sockets and several processes, who remembers the newest time they were told of."""

    def __init__(self, token: str) -> None:
        self.machine = ClientMachine(uuid4())
        self.machine.authenticate(token)
        self.credits, _ = self.machine.subscribe(CREDITS, {})
        self.history, _ = self.machine.subscribe("users:getCreditHistory", ALL)
        self.observed = 0
        self.transitions = 0

    def __repr__(self) -> str:
        return f"<Traveller {self.machine!r} who has seen {self.observed}>"

    @asynccontextmanager
    async def at(self, url: str) -> AsyncIterator[Line]:
        """Go to a process."""
        async with line(url, self.machine) as opened:
            yield opened

    async def arrives(self, at: Line) -> None:
        """Wait until this socket has told everything; the first thing it tells is no older than what is known."""
        self.heed(await at.until(lambda: self.machine.version.ts > 0))

    async def adjust(self, at: Line, who: str, amount: int) -> None:
        """Give credits, and wait until the promise resolves: the effect is on the screen."""
        args = {"userId": who, "amount": amount, "reason": "a test"}
        _, frames = self.machine.mutation(ADJUST, args)
        await at.send(frames)
        events = await at.until(lambda: self.machine.unsettled == 0)
        self.heed(events)
        (settled,) = [each for each in events if isinstance(each, MutationSettled)]
        assert isinstance(settled.outcome, Raw), settled.outcome

    def heed(self, events: list[object]) -> None:
        for event in events:
            if isinstance(event, Advanced):
                assert event.version.ts >= self.observed, "time went back"
                self.observed = event.version.ts
                self.transitions += 1

    @property
    def balance(self) -> int:
        """What is shown; both queries agree about it."""
        answer, history = self.machine.answer(self.credits), self.machine.answer(self.history)
        assert isinstance(answer, Raw)
        assert isinstance(history, Raw)
        shown = int(json.loads(bytes(answer))["credits"])
        assert shown == sum(each["amount"] for each in json.loads(bytes(history))["page"])
        return shown


async def administrator(deployment: Deployment, url: str) -> Traveller:
    """Somebody who can change their own balance, with an account."""
    await deployment.database["admins"].insert_one(
        {"_id": "admin-row", "_creationTime": 1.0, "userId": "root", "createdAt": 1.0}
    )
    await deployment.person("root", url).mutate("users:ensureUser")
    return Traveller(deployment.token("root"))


async def test_a_client_hops_between_processes_that_are_killed_and_started_anew(deployment: Deployment) -> None:
    (first, one), (_, two) = await asyncio.gather(deployment.web(), deployment.web())
    root, balance = await administrator(deployment, one), TRIAL_CREDITS
    spare = asyncio.create_task(deployment.web())
    for hop in range(HOPS):
        if hop == HOPS // 2:  # in the middle of the story one of them is replaced
            await first.kill()
            _, one = await spare
        here, there = (one, two) if hop % 2 == 0 else (two, one)
        async with root.at(here) as opened:
            await root.arrives(opened)
            assert root.balance == balance, "what was done at the other process shows at once"
            await root.adjust(opened, "root", 1)
            balance += 1
            assert root.balance == balance
            await deployment.person("root", there).mutate(ADJUST, userId="root", amount=1, reason="x")
            balance += 1
            root.heed(await opened.until(lambda: root.balance == balance))  # noqa: B023
            await root.adjust(opened, "root", 1)
            balance += 1
    assert root.transitions >= 3 * HOPS
    assert sorted(each["balanceAfter"] for each in await deployment.rows("ledger")) == list(
        range(TRIAL_CREDITS, balance + 1)
    )


async def test_a_line_that_drops_takes_nothing_back(deployment: Deployment) -> None:
    _, url = await deployment.web()
    root, balance = await administrator(deployment, url), TRIAL_CREDITS
    async with Proxy(urlsplit(url).port or 0) as wire:
        for _ in range(HOPS):
            async with root.at(wire.url) as opened:
                await root.arrives(opened)
                assert root.balance == balance
                wire.hold()
                args = {"userId": "root", "amount": 1, "reason": "held"}
                _, frames = root.machine.mutation(ADJUST, args)
                await opened.send(frames)
                balance += 1
                await wire.holding()  # the answer is on its way, and is lost on it
                wire.cut()
            assert root.machine.unsettled == 1
            async with root.at(wire.url) as opened:
                root.heed(await opened.until(lambda: root.machine.unsettled == 0))
                assert root.balance == balance, "done once, and shown when the promise resolves"


async def test_a_process_that_lags_shows_a_client_nothing_older_than_they_have_seen(
    deployment: Deployment, mongod_uri: str
) -> None:
    """What mongod says to the second process is held back. It has old answers, and gives them to those who know no newer."""
    mongod = urlsplit(mongod_uri)
    _, one = await deployment.web()
    async with Proxy(mongod.port or 0) as wire:
        port = free_port()
        behind = urlsplit(deployment.variables["MONGODB_URI"])._replace(
            netloc=urlsplit(wire.url).netloc, query="directConnection=true"
        )
        variables = {**deployment.variables, "MONGODB_URI": behind.geturl(), "PORT": str(port)}
        async with running("web", **variables) as lagging:
            await lagging.says("is serving")
            two = f"http://127.0.0.1:{port}"
            root = await administrator(deployment, one)
            watcher, newcomer = Traveller(root_token := deployment.token("root")), Traveller(root_token)
            async with watcher.at(two) as kept:
                await watcher.arrives(kept)
                async with root.at(one) as opened:
                    await root.arrives(opened)
                    wire.hold()
                    await root.adjust(opened, "root", 5)
                assert root.balance == TRIAL_CREDITS + 5

                async with root.at(two) as waiting:
                    # Whoever comes later and has seen nothing is answered at once: the process could have answered before.
                    async with newcomer.at(two) as served:
                        await newcomer.arrives(served)
                    assert newcomer.observed < root.observed
                    assert newcomer.balance == TRIAL_CREDITS
                    wire.release()
                    await root.arrives(waiting)
                    assert root.balance == TRIAL_CREDITS + 5
                    watcher.heed(await kept.until(lambda: watcher.balance == TRIAL_CREDITS + 5))
