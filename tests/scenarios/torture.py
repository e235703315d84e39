"""The torture: members at work on a whole deployment while its processes are killed at random; then the books are audited.

`python -m tests.scenarios.torture --kills 200 --seed 7`. The seed draws who is killed when, what members do and what the
model answers; what comes of it also depends on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from server.auth.grants import SignedCursors
from server.database import Database
from server.dev.issuer import DevIssuer
from server.runtime import clock
from server.store.connection import connect
from server.store.embedded_child import free_ports
from server.store.gridfs import BlobVault
from server.store.mongo import MongoStore
from server.store.setup import set_up
from tests.scenarios.torture_audit import Books, audited, contents, swept
from tests.scenarios.torture_member import Member
from tests.scenarios.torture_outside import Bank, moods
from tests.scenarios.torture_targets import Mongod, Server, Target, left_behind
from tests.support.gemini import GeminiSite, gemini_site
from tests.support.processes import PUBLIC_URL

WEBS, WORKERS = 2, 2
NAMES = ("ana", "ana", "ben", "ben", "eva")
"""Who is named twice has two devices."""
KINDEST_S, MEAN_PAUSE_S = 0.1, 2.2
TWO_AT_ONCE = 0.2
OUTAGE, OUTAGE_S = 0.3, (4.0, 22.0)
"""Sometimes the database stays away for longer than requests are patient."""
LIKELY = {"web": 2, "worker": 3, "mongod": 2}
CONCURRENCY, ATTEMPT_S = 2, 12
ANSWERS = 20_000
MEMBERS_DEADLINE_S, QUIET_DEADLINE_S = 150.0, 240.0
BETWEEN_REPORTS = 20
AGAIN_S = (0.05, 0.3)
WAITING = {"state": {"$in": ["queued", "leased"]}}
Say = Callable[[str], None]


class Report(msgspec.Struct):
    """What came of it. `problems` are broken promises; `remarks` are for a person to look at."""

    seed: int
    counts: dict[str, object] = {}
    problems: list[str] = []
    remarks: list[str] = []
    logs: dict[str, list[str]] = {}

    def __str__(self) -> str:
        lines = [f"seed {self.seed}", *(f"{name}: {count}" for name, count in self.counts.items())]
        lines += [f"remark: {each}" for each in self.remarks] + [f"PROBLEM: {each}" for each in self.problems]
        return "\n".join([*lines, f"{len(self.problems)} problems"])


@asynccontextmanager
async def going_on(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have these run beside what is done inside; a failure of any ends everything."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def torment(targets: Sequence[Target], kills: int, mean_pause_s: float, chance: random.Random, say: Say) -> None:
    """Kill now one, now two of them, at random instants."""
    done = 0
    weights = [LIKELY[target.name.split()[0]] for target in targets]
    while done < kills:
        await asyncio.sleep(chance.uniform(KINDEST_S, 2 * mean_pause_s - KINDEST_S))
        for victim in chance.choices(targets, weights, k=2 if chance.random() < TWO_AT_ONCE else 1):
            if done < kills and victim.kill():
                done += 1
                if done % BETWEEN_REPORTS == 0:
                    say(f"{done} kills: {', '.join(map(repr, targets))}")


async def torture(
    seed: int, kills: int, folder: Path, *, mean_pause_s: float = MEAN_PAUSE_S, say: Say = lambda _: None
) -> Report:
    """Everything from an empty folder to the report."""
    ports, absences = free_ports(folder, None), random.Random(f"{seed} mongod")
    mongod = Mongod(
        folder / "mongo",
        next(ports),
        lambda: absences.uniform(*(OUTAGE_S if absences.random() < OUTAGE else AGAIN_S)),
    )
    async with going_on(mongod.keep()), gemini_site() as site:
        await mongod.ready.wait()
        async with connect(mongod.uri) as client:
            store = MongoStore(client, client.get_default_database().name)
            await set_up(store.database)
            database = Database(store, SignedCursors(secrets.token_bytes(32)), clock)
            vault = BlobVault(client, f"{store.database.name}_blobs")
            report = await _story(seed, kills, folder, mean_pause_s, say, mongod, site, database, vault, ports)
        await mongod.rest()
    return report


async def _story(
    seed: int, kills: int, folder: Path, mean_pause_s: float, say: Say,
    mongod: Mongod, site: GeminiSite, database: Database, vault: BlobVault, ports: Iterator[int],
) -> Report:  # fmt: skip
    chance = random.Random(seed)
    site.will(*moods(chance, ANSWERS))
    secret = f"whsec_{chance.getrandbits(128):x}"
    variables = {
        "MONGODB_URI": mongod.uri, "DATA_DIR": str(folder / "shared"), "APP_ENV": "development",
        "PUBLIC_URL": PUBLIC_URL, "GENERATION_CONCURRENCY": str(CONCURRENCY), "GENERATION_TIMEOUT_S": str(ATTEMPT_S),
        "GEMINI_API_KEY": "stand-in", "GEMINI_BASE_URL": site.url, "POLAR_WEBHOOK_SECRET": secret,
    }  # fmt: skip
    issuer = DevIssuer.open(f"{PUBLIC_URL}/dev", folder / "shared")
    web_ports = [next(ports) for _ in range(WEBS)]
    servers = [Server(f"web {n}", "web", "is serving", **variables, PORT=str(p)) for n, p in enumerate(web_ports)]
    servers += [Server(f"worker {n}", "worker", "is waiting", **variables) for n in range(WORKERS)]
    urls = [f"http://127.0.0.1:{port}" for port in web_ports]
    bank, enough = Bank(urls, secret, chance), asyncio.Event()
    members = [
        Member(name, seed + number, urls, issuer.token(name, now=clock()), bank.sell)
        for number, name in enumerate(NAMES)
    ]
    async with going_on(*(each.keep() for each in servers), *(each.live() for each in members)):
        for each in servers:
            await each.awake()
        say(f"seed {seed}: {len(members)} members, {', '.join(map(repr, servers))}")
        acting = [asyncio.create_task(each.act(enough)) for each in members]
        await torment([*servers, mongod], kills, mean_pause_s, chance, say)
        enough.set()
        async with asyncio.timeout(MEMBERS_DEADLINE_S):
            await asyncio.gather(*acting)
        await bank.close()
        say("the members rest; waiting for what is under way")
        was_quiet = await quiet(database)
        screens = await what_members_see(database, members)
        await asyncio.gather(*(each.rest() for each in servers))
    left = left_behind(folder / "shared")
    books = await Books.read(database, members)
    problems = [*books.problems(bank.sales), *screens, *await contents(books, vault), *await audited(database)]
    orphans, disagreements = await swept(database, vault, clock())
    problems += disagreements + ([] if was_quiet else [f"not quiet within {QUIET_DEADLINE_S} s"])
    problems += [f"{each.name}: {complaint}" for each in members for complaint in each.complaints]
    problems += [f"left behind: {each}" for each in left]
    problems += [f"{each.name} ended by itself, {end}" for each in servers for end in each.ends]
    counts = {
        "kills": {each.name: each.kills for each in (*servers, mongod)},
        "starts refused while mongod was dead": {each.name: each.refused for each in servers},
        "books": repr(books)[7:-1],
        "generations": dict(Counter(each["state"] for each in books.jobs)),
        "attempts": dict(Counter(each["attempt"] for each in books.jobs)),
        "calls of the model": len(site.calls),
        "movements": dict(Counter(each["kind"] for each in books.rows["ledger"])),
        "orders, refunds": [len(bank.sales), sum(each.changes for each in bank.sales)],
        "deliveries taken again, and failed": [bank.repeated, bank.failed],
        "answers": dict(Counter(told.gist or "yes" for each in members for told in each.told)),
        "uploads": dict(sum((each.uploading for each in members), Counter())),
        "sockets": sum(each.sockets for each in members),
        "contents without a row, swept": orphans,
    }
    return Report(seed, counts, problems, remarks_on(servers), {each.name: each.lines for each in servers})


async def quiet(database: Database) -> bool:
    """Wait until no job waits or runs; false when that takes too long."""
    jobs = database.store.database["jobs"]
    try:
        async with asyncio.timeout(QUIET_DEADLINE_S), await jobs.watch() as changes:
            while await jobs.count_documents(WAITING):
                await changes.next()
    except TimeoutError:
        return False
    return True


async def what_members_see(database: Database, members: Sequence[Member]) -> list[str]:
    """Every screen shows what is so, once it has reached a commit of its own."""
    wrong = []
    for member in members:
        await member.mutation("users:ensureUser")
        images = await database.store.database["images"].find({"userId": member.name}).to_list()
        (user,) = await database.store.database["users"].find({"userId": member.name}).to_list()
        failed = [each["_id"] for each in images if each.get("generationStatus") == "failed"]
        gallery = sum(bool(each["isGenerated"]) for each in images)
        shown = (member.shown(member.credits)["credits"], member.shown(member.count), member.shown(member.failed))
        if shown[:2] != (user["credits"], gallery) or len(shown[2]) != min(len(failed), 50):
            wrong.append(f"{member.name} is shown {shown}, and it is {user['credits'], gallery, failed}")
    return wrong


def remarks_on(servers: Sequence[Server]) -> list[str]:
    """What the processes logged that nobody should have to log, and how often."""
    said: Counter[str] = Counter()
    for each in servers:
        kind = each.name.split()[0]
        for line in each.lines:
            words = line[9:] if line[2:3] == ":" else line
            if words.startswith(("error", "critical")) or (line and line[0].isalpha() and "Error" in line[:80]):
                said[f"{kind}: {''.join('#' if letter.isdigit() else letter for letter in words)[:150]}"] += 1
    return [f"{count} x {line}" for line, count in said.most_common(40)]


def main() -> int:
    """Torture from the command line; status 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios.torture", description=main.__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--pause", type=float, default=MEAN_PAUSE_S, help="mean seconds between kills")
    parser.add_argument("--logs", type=Path, help="a folder to write what the processes logged to")
    wanted = parser.parse_args()
    print(f"torture with --seed {wanted.seed} --kills {wanted.kills}", flush=True)
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # the stand-in is rude on purpose
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)

    with tempfile.TemporaryDirectory(prefix="anime-torture-", ignore_cleanup_errors=True) as folder:
        report = asyncio.run(torture(wanted.seed, wanted.kills, Path(folder), mean_pause_s=wanted.pause, say=say))
    say(str(report))
    if wanted.logs is not None:
        wanted.logs.mkdir(parents=True, exist_ok=True)
        for name, lines in report.logs.items():
            (wanted.logs / f"{name}.log").write_text("\n".join(lines))
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
