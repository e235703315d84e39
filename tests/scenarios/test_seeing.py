"""What operators see of a running house: its numbers, and whether anybody should be sent to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from schema.system import Vitals
from schema.users import User
from schema.values import Id
from server.functions import fleet
from server.functions.auditing import Auditor
from tests.scenarios.stock import change, member, now, paged, put
from tests.support.http import http_client
from tests.support.live import world_client
from tests.support.processes import DEADLINE_S, Deployment, open_deployment, running
from tests.support.world import World, free_port, open_world

Seen = Mapping[str, Mapping[tuple[str, ...], float]]


async def seen_at(url: str) -> Seen:
    """Every sample, by its name and the values of its labels."""
    async with http_client() as http:
        text = (await http.get(f"{url}/metrics")).raise_for_status().text
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def of(seen: Seen, name: str, *labels: str) -> float:
    return seen.get(name, {}).get(labels, 0.0)


async def test_a_story_is_counted(world: World) -> None:
    """One person draws a photo on two screens: what is live, pushed, run, tried and held shows."""
    async with world_client(world, "ana") as ana, world_client(world, "ana") as tablet:
        await ana.mutation("users:ensureUser")
        screens = [await each.watch("users:getCurrentUserCredits") for each in (ana, tablet)]
        gallery = await tablet.watch("images:getGalleryImagesPaginated", **paged())
        before = await seen_at(world.url)
        await ana.photo()
        for screen in screens:
            await screen.until(lambda value: value["credits"] == 9)
        await gallery.until(lambda page: [each["isGenerated"] for each in page["page"]] == [True])
        after = await seen_at(world.url)

    def grown(name: str, *labels: str) -> float:
        return of(after, name, *labels) - of(before, name, *labels)

    assert (of(before, "anime_live_queries"), of(before, "anime_sockets")) == (3, 2)
    assert grown("anime_push_latency_seconds_count") >= 2
    assert 0 < grown("anime_push_latency_seconds_sum") < DEADLINE_S * grown("anime_push_latency_seconds_count")
    assert grown("anime_function_runs_total", "images:uploadAndScheduleGeneration") == 1
    assert grown("anime_mutation_seconds_count") == 2, "the permission, and the photo"
    assert grown("anime_query_seconds_count") >= 1
    assert grown("anime_jobs_attempts_total", "generate_image") == 1
    assert grown("anime_jobs_attempts_ended_total", "generate_image", "succeeded") == 1
    assert of(after, "anime_feed_lag_seconds") < DEADLINE_S
    held = {owner: size for (owner,), size in after["anime_memory_bytes"].items()}
    assert held.keys() == {"answers", "log", "sockets", "outboxes", "feed"}
    assert held["answers"] > 0
    assert held["log"] > 0
    assert sum(held.values()) < of(after, "anime_resident_bytes")


async def test_nobody_is_sent_to_a_house_whose_books_are_wrong(world: World) -> None:
    """Until they are right again, or somebody has looked; what else is wrong then is told again.

    Whatever else cannot be read, such as a webhook's outcome that only a newer version knows, does not hide it.
    """
    auditor = Auditor(world.runtime.database)
    url = f"{world.url}/readyz"
    async with world_client(world, "ana") as ana, http_client() as http:

        async def until_told(*troubles: str) -> None:
            async with asyncio.timeout(DEADLINE_S):
                while (reply := await http.get(url)).json()["troubles"] != list(troubles):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)  # there is no event to be had over HTTP
            assert reply.status_code == (503 if troubles else 200)
            assert reply.json()["ready"] is not bool(troubles)

        await ana.mutation("users:ensureUser")
        assert ana.subject is not None
        user = await member(world, ana.subject)
        await auditor.look()
        await until_told()
        unheard_of = {
            "_id": "polar:1",
            "_creationTime": 1.0,
            "provider": "polar",
            "kind": "k",
            "subject": "s",
            "outcome": "?",
        }
        await world.runtime.store.database["deliveries"].insert_one(
            {**unheard_of, "receivedAt": 1.0, "expiresAt": datetime.now(UTC) + timedelta(days=1)},
            bypass_document_validation=True,
        )
        await change(world, User, user.id, credits=user.credits + 5)
        await auditor.look()
        await until_told("ledger")
        seen = await seen_at(world.url)
        assert of(seen, "anime_ledger_audit_failed") == of(seen, "anime_ledger_imbalanced_members") == 1

        await auditor.look(acknowledge=True)
        await until_told()
        await auditor.look()
        await until_told()
        await change(world, User, user.id, credits=user.credits + 6)
        await auditor.look()
        await until_told("ledger")
        await change(world, User, user.id, credits=user.credits)
        await auditor.look()
        await until_told()
        seen = await seen_at(world.url)
        assert of(seen, "anime_ledger_audit_failed") == of(seen, "anime_ledger_imbalanced_members") == 0


async def test_a_feed_that_stands_still_is_told_from_books_that_are_wrong(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.readings.MAX_FEED_AGE", -1.0)
    async with http_client() as http:
        reply = await http.get(f"{world.url}/readyz")
    assert (reply.status_code, reply.json()["troubles"]) == (503, ["feed"])


async def test_processes_say_how_they_are_to_whoever_asks_and_to_nobody_else(
    mongod_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that falls silent leaves the list by itself; beats make no other query run."""
    monkeypatch.setattr("server.store.pulse.QUIET_S", 0.05)
    monkeypatch.setattr("server.store.pulse.REPORT_EVERY", 0.0)
    async with (
        open_world(mongod_uri) as world,
        world_client(world, "root", admin=True) as root,
        world_client(world, "ana") as ana,
    ):
        await ana.watch("users:getCurrentUserCredits")
        await root.watch("admin:getOverview")
        processes = await root.watch("admin:getProcesses")
        (own,) = await processes.until(
            lambda value: [(each["sockets"], each["liveQueries"]) for each in value] == [(2, 3)]
        )
        assert own.items() >= {"name": world.runtime.name, "role": "web and worker", "jobsRunning": 0}.items()
        before = await seen_at(world.url)
        last = Vitals(
            id=Id("gone"), role="web", version="0", started_at=0.0, seen_at=now() - fleet.LOST_AFTER + 1_500, sockets=7,
            live_queries=0, answers=0, jobs_running=0, feed_lag=0.0, expires_at=now() + 60_000,
        )  # fmt: skip
        await put(world, last)
        await processes.until(lambda value: [each["name"] for each in value] == ["gone", world.runtime.name])
        await processes.until(lambda value: [each["name"] for each in value] == [world.runtime.name])
        after = await seen_at(world.url)

    def ran(function: str) -> float:
        return of(after, "anime_function_runs_total", function) - of(before, "anime_function_runs_total", function)

    assert ran("admin:getProcesses") >= 2
    assert ran("users:getCurrentUserCredits") == 0
    assert ran("admin:getOverview") <= 1, "when a minute has passed"


async def test_a_worker_tells_of_itself_where_it_is_asked_to(mongod_uri: str, tmp_path: Path) -> None:
    """And an operator acknowledges from a shell what all processes then know."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with http_client(timeout=DEADLINE_S) as http, open_deployment(mongod_uri, tmp_path, http) as deployment:
        worker = await deployment.worker(METRICS_PORT=str(port))
        assert (await http.get(f"{url}/healthz")).text == "ok\n"
        await until_audited(deployment)
        assert (await http.get(f"{url}/readyz")).status_code == 200
        seen = await seen_at(url)
        assert of(seen, "anime_jobs_attempts_ended_total", "audit_ledger", "succeeded") >= 1
        assert of(seen, "anime_ledger_audits_total") >= 1
        assert "anime_sockets" not in seen
        async with running("worker", **deployment.variables, METRICS_PORT=str(port)) as second:
            assert await second.ended() == 2
            assert f"METRICS_PORT {port} cannot be listened on" in second.said
        await worker.kill()


async def until_audited(deployment: Deployment) -> None:
    done = {"kind": "audit_ledger", "state": "succeeded"}
    async with asyncio.timeout(DEADLINE_S), await deployment.database["jobs"].watch() as changes:
        while not await deployment.database["jobs"].count_documents(done):
            await changes.next()
