"""Many processes: the `Procfile` as it is written, every process replaced under load, two versions beside each other."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from msgspec import Raw

from subscriptions.client import ClientMachine
from subscriptions.events import Advanced, MutationSettled
from tests.support import pictures
from tests.support.formation import Formation, open_formation, procfile
from tests.support.processes import ROOT, Running, line
from tests.support.redis import redis_server
from tests.wire.node import HERE, ready_node
from tests.wire.story import telling

CREDITS, ADJUST = "users:getCurrentUserCredits", "admin:adjustCredits"
TRIAL_CREDITS = 10
NPM_MEMBERS = [f"npm-{number}" for number in range(4)]
MEMBERS = [*NPM_MEMBERS, "pypi", "ana", "ben"]
CROWDED = {"ADMIN_USER_IDS": ",".join(MEMBERS), "GENERATION_LEASE_S": "4", "SOCKETS_PER_MINUTE_PER_ADDRESS": "0"}


@pytest.fixture
async def formation(mongod_uri: str, tmp_path: Path) -> AsyncIterator[Formation]:
    async with open_formation(mongod_uri, tmp_path, **CROWDED) as opened:
        yield opened


def watcher(formation: Formation, subject: str) -> tuple[ClientMachine, int]:
    """A client that is signed in and watches its balance."""
    machine = ClientMachine(uuid4())
    machine.authenticate(formation.token(subject))
    return machine, machine.subscribe(CREDITS, {})[0]


def balance(machine: ClientMachine, query_id: int) -> int | None:
    answer = machine.answer(query_id)
    return int(json.loads(bytes(answer))["credits"]) if isinstance(answer, Raw) else None


# --- as it is written ------------------------------------------------------------------------------------------------


async def test_the_procfile_runs_as_written(formation: Formation) -> None:
    """Without Redis: any process serves anybody, and who loses theirs goes on at another."""
    assert list(procfile()) == ["release", "web", "worker"]
    unprepared = await formation.run("web", PORT="1")
    assert await unprepared.ended() == 2
    assert "Run python -m server migrate first." in unprepared.said
    status, said = await formation.release()
    assert (status, "created images" in said.splitlines()) == (0, True)
    one, two, *_ = await asyncio.gather(formation.web(), formation.web(), formation.worker(), formation.worker())

    here, there = formation.person("ana", one), formation.person("ana", two)
    await here.mutate("users:ensureUser")
    machine, shown = watcher(formation, "ana")
    async with line(f"http://127.0.0.1:{two}", machine) as screen:
        await screen.until(lambda: balance(machine, shown) == TRIAL_CREDITS)
        await here.mutate(ADJUST, userId="ana", amount=1, reason="at the other one")
        await screen.until(lambda: balance(machine, shown) == TRIAL_CREDITS + 1)
    for person in (here, there):
        photo = await person.upload(pictures.jpeg())
        await person.mutate("images:uploadAndScheduleGeneration", storageId=photo)
    await formation.at_rest()
    assert [each["generationStatus"] for each in await formation.rows("images")] == ["completed"] * 4

    observed = machine.version.ts
    async with line(formation.url, machine) as screen:
        await screen.until(lambda: machine.version.ts > 0)
        (at,) = [port for port, count in formation.balancer.sent.items() if count]
        _, frames = machine.mutation(ADJUST, {"userId": "ana", "amount": 1, "reason": "as it is killed"})
        await screen.send(frames)
        await formation.webs[at].kill()
    async with line(formation.url, machine) as screen:
        events = await screen.until(lambda: machine.unsettled == 0)
        assert all(each.version.ts >= observed for each in events if isinstance(each, Advanced)), "time went back"
        assert len([each for each in events if isinstance(each, MutationSettled)]) <= 1
        assert balance(machine, shown) == TRIAL_CREDITS
    reasons = [each["reason"] for each in await formation.rows("auditLog", action="credits.adjusted")]
    assert sorted(reasons) == ["+1: as it is killed", "+1: at the other one"]

    (left,) = [port for port in formation.webs if port != at]
    formation.variables["DRAIN_S"] = "600"
    patient = await formation.web()
    formation.webs[patient].send(signal.SIGTERM)
    await formation.balancer.ready(left)
    while not formation.webs[patient].is_over:  # who does not want to wait says it again
        formation.webs[patient].send(signal.SIGTERM)
        await asyncio.sleep(0.1)
    assert await formation.webs[patient].ended() == -signal.SIGTERM


# --- replaced under load ---------------------------------------------------------------------------------------------


async def test_every_process_is_replaced_and_nothing_is_lost(
    mongod_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With Redis. Published clients watch, change and upload while each web and worker makes room for a new one."""
    node = await ready_node()
    (tmp_path / "redis").mkdir()
    async with (
        redis_server(tmp_path / "redis") as redis,
        open_formation(mongod_uri, tmp_path, **CROWDED, REDIS_URL=redis.url) as formation,
    ):
        assert (await formation.release())[0] == 0
        await asyncio.gather(formation.web(), formation.web(), formation.worker(), formation.worker())
        for each in NPM_MEMBERS:
            await formation.person(each).mutate("users:ensureUser")
        members = [{"subject": each, "token": formation.token(each)} for each in NPM_MEMBERS]
        photo = base64.b64encode(pictures.jpeg()).decode()
        pypi = {"url": formation.url, "subject": "pypi", "token": formation.token("pypi")}
        async with (
            telling(
                "members", node, str(HERE / "members.mjs"), url=formation.url, members=members, photo=photo
            ) as story,
            telling("pypi", sys.executable, "-m", "tests.wire.member_story", **pypi) as other,
        ):
            await story.hear("ready")
            await other.hear("ready")
            gone = await replace_everything(formation)
            story.tell("enough")
            other.tell("enough")
            done, by_pypi = await story.hear("done"), await other.hear("done")
            await formation.at_rest()
            users = {each["userId"]: each["credits"] for each in await formation.rows("users")}
            story.tell(json.dumps(users))
            await story.hear("shown")

        asked = {each["subject"]: each["asked"] for each in done["members"]} | {"pypi": by_pypi["asked"]}
        drawn = {each["subject"]: each["drawn"] for each in done["members"]}
        reasons = Counter(each["reason"] for each in await formation.rows("auditLog", action="credits.adjusted"))
        assert reasons == Counter(f"+1: {who} {number}" for who, count in asked.items() for number in range(count))
        assert users == {who: TRIAL_CREDITS + asked[who] - drawn.get(who, 0) for who in users}
        assert by_pypi["credits"]["credits"] == users["pypi"]
        jobs = await formation.rows("jobs", kind="generate_image")
        assert Counter(each["state"] for each in jobs) == {"succeeded": sum(drawn.values())}
        assert sum(drawn.values()) > 0
        assert [each["alarms"] + each["closes"] for each in done["members"]] == [[]] * len(NPM_MEMBERS)
        assert all(each["gaps"] >= 1 for each in done["members"]), "everybody lost their line at least once"
        for ended in gone:
            assert not [said for said in ended.lines if '"level":"error"' in said or "not_drained" in said], ended.said
        longest = max(by_pypi["longestMs"], *(each["longestMs"] for each in done["members"]))
    with capsys.disabled():
        print(f"\n{sum(asked.values())} changes and {len(jobs)} drawings; the longest gap anybody saw: {longest} ms")


async def replace_everything(formation: Formation) -> list[Running]:
    """One after the other: a new one comes first, and while an old one goes the next new one comes."""
    (first, second), (helper, other) = list(formation.webs), list(formation.workers)
    await asyncio.gather(formation.web(), formation.worker())
    gone, _, *_ = await asyncio.gather(
        formation.stop_web(first), formation.stop_worker(helper), formation.web(), formation.worker()
    )
    too, _ = await asyncio.gather(formation.stop_web(second), formation.stop_worker(other))
    return [gone, helper, too, other]


# --- two versions ----------------------------------------------------------------------------------------------------


def next_version(folder: Path) -> Path:
    """A copy of the product in which members have a flag that old processes know nothing of."""
    root = folder / "next"
    for name in ("schema", "subscriptions", "jobs", "server"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Procfile", root)
    changes = {
        "schema/users.py": (
            "    name: str | None = None\n",
            "    name: str | None = None\n    is_veteran: bool = False\n",
        ),
        "schema/migrations.py": (
            "LATEST: Final",
            'STEPS += (Step(3, "pre", "veterans"), '  # type-checked by nobody: it is the next version's
            'Step(4, "post", "who was here before", mendings=(Mending("users", {"isVeteran": True}),)))\nLATEST: Final',
        ),
    }
    for name, (before, after) in changes.items():
        text = (root / name).read_text()
        assert text.count(before) == 1
        (root / name).write_text(text.replace(before, after))
    return root


async def test_two_versions_share_a_database(formation: Formation, tmp_path: Path) -> None:
    newer = next_version(tmp_path)
    assert (await formation.release())[0] == 0
    old = await formation.web()
    await formation.person("ana", old).mutate("users:ensureUser")

    status, said = await formation.release(root=newer)
    assert (status, said.splitlines()[:2]) == (0, ["updated the rules of users", "step 3 (veterans) is done"])
    assert "step 4 (who was here before) is left for python -m server migrate --post" in said
    new = await formation.web(root=newer)
    await formation.person("ben", new).mutate("users:ensureUser")
    for by, who in ((old, "ben"), (new, "ana")):  # each writes what the other made, and shows what the other wrote
        other = new if by == old else old
        machine, shown = watcher(formation, who)
        async with line(f"http://127.0.0.1:{other}", machine) as screen:
            await screen.until(lambda: balance(machine, shown) == TRIAL_CREDITS)  # noqa: B023
            await formation.person(who, by).mutate(ADJUST, userId=who, amount=1, reason="side by side")
            await screen.until(lambda: balance(machine, shown) == TRIAL_CREDITS + 1)  # noqa: B023
    again = await formation.release()
    assert again == (0, "a newer version has migrated this database (step 3); it is left as it is")
    await formation.person("npm-0", old).mutate("users:ensureUser")

    status, said = await formation.release("--post", root=newer)
    assert status == 2
    assert "of an older version still runs" in said
    await formation.stop_web(old)
    status, said = await formation.release("--post", root=newer)
    assert (status, said.splitlines()) == (
        0, ["step 4 (who was here before) is done: 2 documents changed", "updated the rules of users"],
    )  # fmt: skip
    flags = {each["userId"]: each["isVeteran"] for each in await formation.rows("users")}
    assert flags == {"ana": True, "ben": False, "npm-0": True}
    late = await formation.run("web", PORT="1")
    assert await late.ended() == 2
    assert "cannot run on it any more. Start the newer one." in late.said
