"""The soak's story: the stage is set, everybody comes, somebody is killed every minute; then quiet, and everybody is asked."""

from __future__ import annotations

import asyncio
import random
import resource
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from server.auth.grants import SignedCursors
from server.database import Database
from server.dev.issuer import DevIssuer
from server.runtime import clock
from server.store.connection import connect
from server.store.embedded_child import free_ports
from server.store.gridfs import BlobVault
from server.store.mongo import MongoStore
from server.store.setup import set_up
from tests.scenarios.soak.crowd import Wanted, fresh, page_as_held
from tests.scenarios.soak.deeds import ADMINISTRATOR, CHANGED, STAGE, Clerk, Marks, Moderator, SoakMember, stage
from tests.scenarios.soak.figures import Latencies, difference
from tests.scenarios.soak.gathering import Gathering
from tests.scenarios.soak.report import Report
from tests.scenarios.soak.watch import Watch
from tests.scenarios.torture import AGAIN_S, ANSWERS, Say, going_on, quiet, remarks_on, what_members_see
from tests.scenarios.torture_audit import TABLES, Books, audited, contents, swept
from tests.scenarios.torture_member import GALLERY as OWN_GALLERY
from tests.scenarios.torture_outside import Bank, moods
from tests.scenarios.torture_targets import Mongod, Server, Target, left_behind
from tests.support.gemini import gemini_site
from tests.support.http import http_client

WEBS, WORKERS = 2, 2
MEMBERS_SHARE, FEWEST_MEMBERS = 0.04, 8
CHURN = 0.01
VISITORS_A_PICTURE = 25
GALLERY_WRITES_PER_S, PAGE_WRITES_PER_S = 1.0, 10.0
MODERATION_PAUSE_S, CLERK_PAUSE_S = 2.0, 3.0
CONCURRENCY, ATTEMPT_S = 2, 12
MONGOD_EVERY = 5
LAST_KILL_S = 20.0
"""Before the end: so that what the last kill did is seen while there is load."""
MEMBERS_DEADLINE_S = 180.0
SAY_EVERY_S = 30.0
SEEN = ("gallery", "page", "late", "openings", "returns", "delays")
UNSEEN: dict[str, Any] = {
    "answers": 0, "reads": 0, "left": 0, "wrong": [], "problems": [], "troubles": {}, **{name: {} for name in SEEN}
}  # fmt: skip

T = TypeVar("T")


class Soak(msgspec.Struct, frozen=True):
    """How long, how many, how often. `actions_per_s` is what all members do together."""

    seed: int
    seconds: float = 1_800.0
    clients: int = 5_000
    kill_every_s: float = 60.0
    actions_per_s: float = 2.0

    @property
    def members(self) -> int:
        """Who has an account; the others only look."""
        return max(FEWEST_MEMBERS, int(self.clients * MEMBERS_SHARE))

    @property
    def pictures(self) -> int:
        """Shared by their links."""
        return max(1, (self.clients - self.members) // VISITORS_A_PICTURE)

    @property
    def pages(self) -> list[str]:
        """The pictures that visitors have links to."""
        return [f"stage-page-{number}" for number in range(self.pictures)]

    def __str__(self) -> str:
        return (
            f"--seed {self.seed} --minutes {self.seconds / 60:g} --clients {self.clients} "
            f"--kill-every {self.kill_every_s:g} --actions {self.actions_per_s:g}"
        )


async def soak(wanted: Soak, folder: Path, say: Say = lambda _: None) -> Report:
    """Everything from an empty folder to the report."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ports, absences = free_ports(folder, None), random.Random(f"{wanted.seed} mongod")
    mongod = Mongod(folder / "mongo", next(ports), lambda: absences.uniform(*AGAIN_S))
    async with going_on(mongod.keep()):
        await mongod.ready.wait()
        async with connect(mongod.uri) as client:
            store = MongoStore(client, client.get_default_database().name)
            await set_up(store.database)
            database = Database(store, SignedCursors(secrets.token_bytes(32)), clock)
            vault = BlobVault(client, f"{store.database.name}_blobs")
            web_ports = [next(ports) for _ in range(WEBS)]
            report = await Story(wanted, folder, say, mongod, web_ports, database, vault).told()
        await mongod.rest()
    return report


class Story:
    """One soak: who takes part, and what was seen."""

    def __init__(
        self, wanted: Soak, folder: Path, say: Say, mongod: Mongod, ports: list[int], database: Database, vault: BlobVault
    ) -> None:  # fmt: skip
        self._wanted, self._shared, self._say = wanted, folder / "shared", say
        self._mongod, self._ports, self._database, self._vault = mongod, ports, database, vault
        self._chance = random.Random(wanted.seed)
        self._images = database.store.database["images"]
        self._urls = [f"http://127.0.0.1:{port}" for port in ports]
        self._problems: list[str] = []
        self._kills: list[tuple[float, str]] = []
        self._took = Latencies()
        self._busy_s = 0.0

    async def told(self) -> Report:
        """The whole story."""
        async with gemini_site() as site:
            site.will(*moods(self._chance, ANSWERS))
            polar, clerk = (f"whsec_{self._chance.getrandbits(128):x}" for _ in range(2))
            variables = {
                "MONGODB_URI": self._mongod.uri, "DATA_DIR": str(self._shared), "APP_ENV": "development",
                "PUBLIC_URL": self._urls[0], "GENERATION_CONCURRENCY": str(CONCURRENCY),
                "GENERATION_TIMEOUT_S": str(ATTEMPT_S), "GEMINI_API_KEY": "stand-in", "GEMINI_BASE_URL": site.url,
                "POLAR_WEBHOOK_SECRET": polar, "CLERK_WEBHOOK_SECRET": clerk, "ADMIN_USER_IDS": ADMINISTRATOR,
            }  # fmt: skip
            await self._images.insert_many(stage(self._wanted.pictures))
            report = await self._everybody(variables, Bank(self._urls, polar, self._chance), clerk)
            report.facts["calls of the model"] = len(site.calls)
        return report

    async def _everybody(self, variables: dict[str, str], bank: Bank, clerk_secret: str) -> Report:
        wanted, issuer = self._wanted, DevIssuer.open(f"{self._urls[0]}/dev", self._shared)
        webs = [Server(f"web {n}", "web", "is serving", **variables, PORT=str(p)) for n, p in enumerate(self._ports)]
        workers = [Server(f"worker {n}", "worker", "is waiting", **variables) for n in range(WORKERS)]
        servers = [*webs, *workers]
        pause_s = wanted.members / wanted.actions_per_s
        tokens = {name: issuer.token(name, now=clock(), lifetime_s=86_400) for name in self._names()}
        members = [
            SoakMember(name, wanted.seed + n, self._urls, tokens[name], bank.sell, pause_s=pause_s, took=self._took)
            for n, name in enumerate(self._names())
        ]
        moderator_token = issuer.token(ADMINISTRATOR, now=clock(), lifetime_s=86_400)
        moderator = Moderator(self._urls, moderator_token, random.Random(f"{wanted.seed} moderator"))
        clerk = Clerk(self._urls, clerk_secret, random.Random(f"{wanted.seed} clerk"))
        marks, watch = Marks(self._images), Watch([*servers, self._mongod], self._urls[0])
        crowd_wanted = Wanted(
            wanted.seed, wanted.clients - wanted.members, wanted.pictures, self._ports, self._ports[0], CHURN
        )
        async with going_on(*(each.keep() for each in servers)):
            await asyncio.gather(*(each.awake() for each in servers))
            async with (
                going_on(*(self._minded(each.live()) for each in members)),
                Gathering.gathered(crowd_wanted) as crowd,
            ):
                self._say(f"{(await crowd.answer())['arrived']} visitors and {len(members)} members have come")
                began, enough = time.monotonic(), asyncio.Event()
                deeds = [
                    *(each.soaked(enough) for each in members),
                    marks.steadily([CHANGED], GALLERY_WRITES_PER_S, enough),
                    marks.steadily(wanted.pages, PAGE_WRITES_PER_S, enough),
                    moderator.work(MODERATION_PAUSE_S, enough),
                    clerk.work(self._names(), CLERK_PAUSE_S, enough),
                ]
                acting = [asyncio.create_task(self._minded(each)) for each in deeds]
                spent = _spent_s(), crowd.processor_s
                async with going_on(self._minded(watch.look()), self._news(crowd, servers)):
                    await self._killing(webs[1], workers, began)
                    enough.set()
                    self._busy_s = time.monotonic() - began
                    shares = tuple(
                        (now - before) / self._busy_s
                        for now, before in zip((_spent_s(), crowd.processor_s), spent, strict=True)
                    )
                await self._rest(acting, bank)
                was_quiet = await self._or(quiet(self._database), False)
                last = await marks.last([CHANGED, *wanted.pages])
                self._say("quiet; waiting until everybody has the last write, then everybody is asked what they see")
                unsettled = (await self._or(crowd.asked(settle=last), {"unsettled": "unknown how many"}))["unsettled"]
                seen = await self._or(crowd.asked(compare=True), UNSEEN)
                screens = await self._or(what_members_see(self._database, members), [])
                compared, lost = await self._or(self._fresh_for(members, tokens), (0, []))
            await asyncio.gather(*(each.rest() for each in servers))
        unread = Books({name: [] for name in TABLES}, members)
        books, problems = await self._or(self._audit(members, bank, clerk), (unread, []))
        self._problems += [*problems, *screens, *lost, *seen["wrong"], *seen["problems"]]
        self._problems += [f"{unsettled} visitors have not got the last write"] if unsettled else []
        self._problems += [] if was_quiet else ["work was left over for too long after everybody had stopped"]
        self._problems += [f"{each.name}: {complaint}" for each in members for complaint in each.complaints]
        self._problems += [f"left behind: {each}" for each in left_behind(self._shared)]
        self._problems += [f"{each.name} ended by itself, {end}" for each in servers for end in each.ends]
        return Report(
            command=str(wanted),
            began=began,
            seconds=self._busy_s,
            kills=self._kills,
            lives=watch.lives,
            cores={
                **{each.name: watch.processor_share(each.name) for each in (*servers, self._mongod)},
                "the crowd": shares[1], "members, stand-ins, this audit": shares[0],
            },
            latencies={
                **{name: Latencies.heard(seen[name]) for name in SEEN},
                "mutations": self._took,
            },
            facts={
                "visitors, members": [wanted.clients - wanted.members, len(members)],
                "visitors who left and were replaced": seen["left"],
                "answers compared, in so many fresh reads": [seen["answers"] + compared, seen["reads"] + compared],
                "marked writes": marks.written,
                "books": repr(books)[7:-1],
                "generations": dict(Counter(each["state"] for each in books.jobs)),
                "uploads": dict(sum((each.uploading for each in members), Counter())),
                "orders, refunds": [len(bank.sales), sum(each.changes for each in bank.sales)],
                "moderation": dict(moderator.did),
                "people told of by Clerk, who left": [len(clerk.names), len(clerk.gone)],
                "sockets of members": sum(each.sockets for each in members),
            },
            troubles={
                "visitors": dict(Counter(seen["troubles"]).most_common()),
                "members' mutations": dict(Counter(told.gist or "yes" for each in members for told in each.told)),
                "deliveries that failed and came again (Polar, Clerk)": {"": [bank.failed, clerk.failed]},
                "marked writes that were sent again": dict(marks.failed),
            },
            problems=self._problems,
            remarks=remarks_on(servers),
            logs={each.name: each.lines for each in servers},
        )  # fmt: skip

    def _names(self) -> list[str]:
        return [f"member-{number}" for number in range(self._wanted.members)]

    async def _minded(self, work: Coroutine[Any, Any, None]) -> None:
        """What fails is a problem, and everything else goes on."""
        try:
            await work
        except Exception as error:
            self._problems.append(f"the soak itself: {error!r}")

    async def _or(self, work: Awaitable[T], otherwise: T) -> T:
        """What comes of it; what fails at the end is a problem, and everything else is reported all the same."""
        try:
            return await work
        except Exception as error:
            self._problems.append(f"the soak itself, at its end: {error!r}")
            return otherwise

    async def _killing(self, web: Target, workers: Sequence[Target], began: float) -> None:
        """Somebody every minute, until the time is over. The first web process is never killed: it is looked at for leaks."""
        wanted, chance, number = self._wanted, random.Random(f"{self._wanted.seed} kills"), 0
        end, due = began + wanted.seconds, began
        while (due := max(due + wanted.kill_every_s, time.monotonic())) < end - LAST_KILL_S:
            await asyncio.sleep(due - time.monotonic())
            number += 1
            is_web = number % 2 == 1
            victim = self._mongod if number % MONGOD_EVERY == 0 else web if is_web else chance.choice(workers)
            if victim.kill():
                self._kills.append((time.monotonic(), victim.name))
                self._say(f"killed {victim!r}")
        await asyncio.sleep(end - time.monotonic())

    async def _news(self, crowd: Gathering, servers: Sequence[Target]) -> None:
        while True:
            await asyncio.sleep(SAY_EVERY_S)
            self._say(
                f"{crowd.online} visitors online, {len(self._problems)} problems, {', '.join(map(repr, servers))}"
            )

    async def _rest(self, acting: Sequence[asyncio.Task[None]], bank: Bank) -> None:
        _, late = await asyncio.wait(acting, timeout=MEMBERS_DEADLINE_S)
        if late:
            self._problems.append(f"{len(late)} did not come to an end within {MEMBERS_DEADLINE_S} s")
            for each in late:
                each.cancel()
            await asyncio.wait(late)
        await bank.close()
        self._say("everybody rests; waiting for what is under way")

    async def _fresh_for(self, members: Sequence[SoakMember], tokens: dict[str, str]) -> tuple[int, list[str]]:
        """What members see, held against fresh reads: how many, and what differs."""
        count, wrong = 0, []
        async with http_client(timeout=30.0) as http:
            for member in members:
                headers = {"authorization": f"Bearer {tokens[member.name]}"}
                for path, query_id in member.screens.items():
                    answer = member.machine.answer(query_id)
                    held = bytes(answer) if isinstance(answer, Raw) else b"null"
                    args = page_as_held(OWN_GALLERY, msgspec.json.decode(held)) if query_id == member.gallery else {}
                    found = await fresh(http, self._urls[0], path, args, headers)
                    count += 1
                    if (differs := difference(held, found)) is not None:
                        wrong.append(f"LOST UPDATE: {member.name}'s {path}: {differs}")
        return count, wrong

    async def _audit(self, members: Sequence[SoakMember], bank: Bank, clerk: Clerk) -> tuple[Books, list[str]]:
        """The books, without what the stage brought and without those who left, of whom Clerk's own audit tells."""
        await self._images.delete_many({"userId": STAGE})
        books = await Books.read(self._database, members)
        problems = clerk.problems(books.rows)
        books.rows["ledger"] = [each for each in books.rows["ledger"] if each["userId"] not in clerk.gone]
        problems += [*books.problems(bank.sales), *await contents(books, self._vault), *await audited(self._database)]
        _, disagreements = await swept(self._database, self._vault, clock())
        return books, [*problems, *disagreements]


def _spent_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
