"""Elections under load: members at work on two web processes and a worker while the three members of the database fall out.

`python -m tests.scenarios.elections --rounds 10`. In each round the primary steps down, is killed and comes back, a secondary is
frozen, and a write that no majority has is rolled back. Then the books are audited, as after the torture.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Raw
from pymongo.write_concern import WriteConcern

from server.auth.grants import SignedCursors
from server.database import Database
from server.dev.issuer import DevIssuer
from server.runtime import clock
from server.store.connection import connect
from server.store.embedded_child import free_ports
from server.store.gridfs import BlobVault
from server.store.mongo import MongoStore
from server.store.setup import set_up
from tests.scenarios.torture import Report, going_on, quiet, what_members_see
from tests.scenarios.torture_audit import Books, audited, contents
from tests.scenarios.torture_member import Member, Told, Value
from tests.scenarios.torture_outside import Bank, slowly
from tests.scenarios.torture_targets import Server, left_behind
from tests.support.gemini import gemini_site
from tests.support.processes import PUBLIC_URL
from tests.support.replica_set import ReplicaSet, replica_set

DATABASE = "elections"
NAMES = ("ana", "ana", "ben")
"""Who is named twice has two devices."""
WEBS = 2
ANSWERS, SLOWEST_DRAWING_S = 20_000, 0.3
MEMBERS_DEADLINE_S, FAULT_DEADLINE_S = 60.0, 90.0
NEVER = 777_777.0
"""A balance that is written and that no majority ever has."""
Say = Callable[[str], None]


class Witness(Member):
    """A member who remembers every balance they were shown, and can be waited for."""

    def __init__(
        self, name: str, seed: int, urls: list[str], token: str, buy: Callable[[str], Awaitable[None]]
    ) -> None:
        super().__init__(name, seed, urls, token, buy)
        self._more = asyncio.Event()

    async def mutation(self, path: str, **args: Value) -> Told:
        told = await super().mutation(path, **args)
        if (self.shown(self.credits) or {}).get("credits") == NEVER:
            self.complaints.append("was shown what no majority ever had")
        before, self._more = self._more, asyncio.Event()
        before.set()
        return told

    async def goes_on(self) -> None:
        """Wait until something was acknowledged that was asked for after this call."""
        wanted = self._acknowledged + 2  # one may have been under way
        while self._acknowledged < wanted:
            await self._more.wait()

    @property
    def _acknowledged(self) -> int:
        return sum(isinstance(each.outcome, Raw) for each in self.told)


async def steps_down(rs: ReplicaSet, _: MongoStore, all_go_on: Callable[[], Awaitable[None]]) -> None:
    """The primary hands over."""
    await rs.step_down()
    await all_go_on()


async def is_killed(rs: ReplicaSet, _: MongoStore, all_go_on: Callable[[], Awaitable[None]]) -> None:
    """The primary is gone without a word; everybody goes on without it, and it comes back."""
    primary = await rs.primary()
    await primary.kill()
    await all_go_on()
    primary.start()
    await rs.secondaries()


async def freezes(rs: ReplicaSet, _: MongoStore, all_go_on: Callable[[], Awaitable[None]]) -> None:
    """A secondary stops answering; two are a majority."""
    frozen = (await rs.secondaries())[0]
    frozen.freeze()
    try:
        await all_go_on()
    finally:
        frozen.thaw()


async def rolls_back(rs: ReplicaSet, store: MongoStore, all_go_on: Callable[[], Awaitable[None]]) -> None:
    """What the primary took while it was alone is undone when it comes back: it was never shown, and never promised."""
    primary, others = await rs.primary(), await rs.secondaries()
    for each in others:  # not frozen: what is on its way to a frozen one arrives when it thaws
        await each.kill()
    async with primary.alone() as client:
        users = client[store.database.name].get_collection("users", write_concern=WriteConcern(1, j=True))
        await users.update_many({}, {"$set": {"credits": NEVER}})
    await primary.kill()
    for each in others:
        each.start()
    await all_go_on()
    primary.start()
    await primary.until_none(store.database.name, "users", {"credits": NEVER})
    await rs.secondaries()


Fault = Callable[[ReplicaSet, MongoStore, Callable[[], Awaitable[None]]], Awaitable[None]]
SHORT: tuple[Fault, ...] = (steps_down, freezes, rolls_back)
"""Enough for every run: the primary is killed and comes back in the last of them, too."""
ALL: tuple[Fault, ...] = (*SHORT, is_killed)


async def elections(
    rs: ReplicaSet, seed: int, folder: Path, faults: Sequence[Fault] = SHORT, say: Say = lambda _: None
) -> Report:
    """Everything from an empty database to the report."""
    async with connect(rs.uri_of(DATABASE)) as client, gemini_site() as site:
        chance, ports = random.Random(seed), free_ports(folder, None)
        site.will(*(slowly(chance.uniform(0, SLOWEST_DRAWING_S)) for _ in range(ANSWERS)))
        store = MongoStore(client, DATABASE)
        await set_up(store.database)
        database = Database(store, SignedCursors(secrets.token_bytes(32)), clock)
        vault = BlobVault(client, f"{DATABASE}_blobs")
        secret = f"whsec_{chance.getrandbits(128):x}"
        variables = {
            "MONGODB_URI": rs.uri_of(DATABASE), "DATA_DIR": str(folder / "shared"), "APP_ENV": "development",
            "PUBLIC_URL": PUBLIC_URL, "GEMINI_API_KEY": "stand-in", "GEMINI_BASE_URL": site.url,
            "POLAR_WEBHOOK_SECRET": secret,
        }  # fmt: skip
        issuer = DevIssuer.open(f"{PUBLIC_URL}/dev", folder / "shared")
        urls, servers = _servers(variables, ports)
        bank, enough = Bank(urls, secret, chance), asyncio.Event()
        members = [
            Witness(name, seed + n, urls, issuer.token(name, now=clock()), bank.sell) for n, name in enumerate(NAMES)
        ]

        async def all_go_on() -> None:
            await asyncio.gather(*(each.goes_on() for each in members))

        async with going_on(*(each.keep() for each in servers), *(each.live() for each in members)):
            await asyncio.gather(*(each.awake() for each in servers))
            acting = [asyncio.create_task(each.act(enough)) for each in members]
            await all_go_on()
            for fault in faults:
                async with asyncio.timeout(FAULT_DEADLINE_S):
                    await fault(rs, store, all_go_on)
                say((fault.__doc__ or "").splitlines()[0])
            enough.set()
            async with asyncio.timeout(MEMBERS_DEADLINE_S):
                await asyncio.gather(*acting)
            await bank.close()
            was_quiet = await quiet(database)
            screens = await what_members_see(database, members)
            await asyncio.gather(*(each.rest() for each in servers))
        books = await Books.read(database, members)
        problems = [*books.problems(bank.sales), *screens, *await contents(books, vault), *await audited(database)]
        problems += [] if was_quiet else ["not quiet in time"]
        problems += [f"{each.name}: {complaint}" for each in members for complaint in each.complaints]
        problems += [f"left behind: {each}" for each in left_behind(folder / "shared")]
        problems += [f"{each.name} ended by itself, {end}" for each in servers for end in each.ends]
        counts: dict[str, object] = {
            "acknowledged": sum(each._acknowledged for each in members),
            "generations": len(books.jobs),
            "sockets": sum(each.sockets for each in members),
        }
        return Report(seed, counts, problems, [], {each.name: each.lines for each in servers})


def _servers(variables: dict[str, str], ports: Iterator[int]) -> tuple[list[str], Sequence[Server]]:
    """Two that serve and one that draws, and where they serve."""
    own = [next(ports) for _ in range(WEBS)]
    webs = [Server(f"web {n}", "web", "is serving", **variables, PORT=str(port)) for n, port in enumerate(own)]
    return [f"http://127.0.0.1:{port}" for port in own], [*webs, Server("worker", "worker", "is waiting", **variables)]


async def _from_nothing(seed: int, rounds: int, say: Say) -> Report:
    with tempfile.TemporaryDirectory(prefix="anime-elections-", ignore_cleanup_errors=True) as folder:
        async with replica_set(Path(folder) / "mongo") as rs:
            return await elections(rs, seed, Path(folder), ALL * rounds, say)


def main() -> int:
    """Elections from the command line; status 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios.elections", description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    wanted = parser.parse_args()
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)

    report = asyncio.run(_from_nothing(wanted.seed, wanted.rounds, say))
    say(str(report))
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
