"""The product as processes: started, told to stop, killed at the worst moment, and never in disagreement with itself."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from msgspec import Raw
from websockets.exceptions import ConnectionClosed, InvalidMessage

from schema.blobs import Blob
from schema.values import Id
from server.config import PRODUCTION_NEEDS
from server.store import codec
from server.store.embedded_child import TRANSACTION_LIFETIME_S
from subscriptions.client import ClientMachine
from subscriptions.events import MutationSettled
from tests.support import pictures
from tests.support.http import http_client
from tests.support.processes import (
    DEADLINE_S,
    Deployment,
    Person,
    Running,
    is_over,
    line,
    mongod_below,
    open_deployment,
    running,
)
from tests.support.webhooks import fixture, sign
from tests.support.world import free_port

SEED = 20_262
ORPHAN_LIFETIME_S = 2
"""How long mongod lets a transaction live whose process was killed; until then it is in the way of others."""
KILLS, PEOPLE_PER_KILL = 5, 10
TRIAL_CREDITS = 10
GENERATE = "images:uploadAndScheduleGeneration"


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


async def sign_in(http: httpx.AsyncClient, url: str, subject: str) -> Person:
    reply = await http.post(f"{url}/dev/token", content=json.dumps({"subject": subject}))
    return Person(http, url, reply.raise_for_status().json()["token"])


# --- one process tree ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda each: each.name)
async def test_dev_serves_and_leaves_nothing_behind(
    tmp_path: Path, http: httpx.AsyncClient, number: signal.Signals
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with running("dev", DATA_DIR=str(tmp_path), PORT=str(port)) as dev:
        await dev.says(f"Anime Leak is ready: {url}")
        assert (await http.get(f"{url}/healthz")).text == "ok\n"
        ana = await sign_in(http, url, "ana")
        await ana.mutate("users:ensureUser")
        assert (await ana.query("users:getCurrentUserCredits"))["credits"] == TRIAL_CREDITS
        watcher = ClientMachine(uuid4())
        watcher.subscribe("users:getCurrentUserCredits", {})
        async with line(url, watcher) as open_line:  # somebody is still connected when the end comes
            await open_line.until(lambda: watcher.version.ts > 0)
            mongod = os.pidfd_open(mongod_below(dev.pid))
            dev.send(number)
            status = await dev.ended()
        assert status == (-signal.SIGKILL if number == signal.SIGKILL else 0), dev.said
        assert await is_over(mongod)
        os.close(mongod)
        assert "Traceback" not in dev.said
        assert "ERROR" not in dev.said.upper().replace("ERRORS", "")


async def test_a_second_dev_on_the_folder_and_one_on_the_port_are_refused(tmp_path: Path) -> None:
    port = free_port()
    async with running("dev", DATA_DIR=str(tmp_path), PORT=str(port)) as first:
        await first.says("is ready")
        async with (
            running("dev", DATA_DIR=str(tmp_path), PORT=str(free_port())) as same_folder,
            running("dev", DATA_DIR=str(tmp_path / "other"), PORT=str(port)) as same_port,
        ):
            assert await same_folder.ended() == 2
            assert f"error: The data folder {tmp_path} is in use by process {first.pid}." in same_folder.said
            assert await same_port.ended() == 2
            assert f"PORT {port} cannot be listened on" in same_port.said
            assert "Traceback" not in same_folder.said + same_port.said
        assert not (tmp_path / "other").exists()
        first.send(signal.SIGTERM)
        assert await first.ended() == 0


@pytest.mark.parametrize("command", ["web", "worker"])
async def test_production_names_what_is_missing(command: str) -> None:
    async with running(command, MONGODB_URI="mongodb://127.0.0.1:1/") as incomplete:
        assert await incomplete.ended() == 2
    assert incomplete.said.startswith("error: ")
    assert all(name in incomplete.said for name in PRODUCTION_NEEDS if name != "MONGODB_URI")
    assert "must be set in production" in incomplete.said


@pytest.mark.parametrize("parties", ["", "https://anime.test"])
async def test_production_signs_nothing_itself_and_says_when_any_site_may_sign_in(
    deployment: Deployment, http: httpx.AsyncClient, parties: str
) -> None:
    port = free_port()
    needed = dict.fromkeys(PRODUCTION_NEEDS, "https://unreachable.test") | deployment.variables
    needed |= {"APP_ENV": "production", "PORT": str(port), "POLAR_WEBHOOK_SECRET": "polar_whs_x"}
    async with running("web", **needed, CLERK_AUTHORIZED_PARTIES=parties) as web:
        await web.says("is serving")
        body = fixture("unknown_event.json")
        signed = [sign(key, body, "msg_1", time.time()) for key in (b"polar_whs_x", b"polar_whs_y")]
        url = f"http://127.0.0.1:{port}/webhooks/polar"
        assert [(await http.post(url, content=body, headers=each)).status_code for each in signed] == [202, 403]
        assert ("CLERK_AUTHORIZED_PARTIES is empty" in web.said) is (not parties)
    assert {each["_id"] for each in await deployment.rows("secrets")}.isdisjoint({"polar_webhook", "clerk_webhook"})


async def test_a_killed_mongod_is_a_pause_and_a_frozen_one_is_told_to_operators(
    tmp_path: Path, http: httpx.AsyncClient
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    async def until_ready(status: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while (await http.get(f"{url}/readyz")).status_code != status:  # noqa: ASYNC110
                await asyncio.sleep(0.1)  # there is no event to be had over HTTP

    async with running("dev", DATA_DIR=str(tmp_path), PORT=str(port)) as dev:
        await dev.says("is ready")
        await until_ready(200)
        people = [await sign_in(http, url, f"person-{number}") for number in range(6)]
        watcher = ClientMachine(uuid4())
        watcher.authenticate(people[5].token)
        watcher.subscribe("users:getCurrentUserCredits", {})
        async with line(url, watcher) as screen:
            await screen.until(lambda: watcher.answer(0) is not None)
            for person in people[:3]:
                await person.mutate("users:ensureUser")
            os.kill(mongod_below(dev.pid), signal.SIGKILL)
            _, frames = watcher.mutation("users:ensureUser", {})
            await screen.send(frames)
            events = await screen.until(lambda: watcher.unsettled == 0)
            assert [each.outcome for each in events if isinstance(each, MutationSettled)] == [Raw(b"null")]
            for person in (*people[:3], people[5]):
                assert (await person.query("users:getCurrentUserCredits"))["credits"] == TRIAL_CREDITS
            await until_ready(200)

            frozen = mongod_below(dev.pid)
            os.kill(frozen, signal.SIGSTOP)
            await until_ready(503)
            assert (await http.get(f"{url}/healthz")).status_code == 200
            os.kill(frozen, signal.SIGKILL)
            await until_ready(200)
            await people[3].mutate("users:ensureUser")
            assert (await people[3].query("users:getCurrentUserCredits"))["credits"] == TRIAL_CREDITS


# --- several processes on one database -------------------------------------------------------------------------------


async def test_a_mutation_through_one_process_shows_on_a_subscription_of_another(deployment: Deployment) -> None:
    (_, one), (_, two), _ = await asyncio.gather(deployment.web(), deployment.web(), deployment.worker())
    machine = ClientMachine(uuid4())
    machine.authenticate(deployment.token("ana"))
    gallery, _ = machine.subscribe(
        "images:getGalleryImagesPaginated", {"paginationOpts": {"numItems": 5, "cursor": None}}
    )

    def shown() -> list[str]:
        answer = machine.answer(gallery)
        return (
            [each["generationStatus"] for each in json.loads(bytes(answer))["page"]] if isinstance(answer, Raw) else []
        )

    async with line(two, machine) as screen:
        await screen.until(lambda: isinstance(machine.answer(gallery), Raw))
        assert shown() == []
        ana = deployment.person("ana", one)
        photo = await ana.upload(pictures.jpeg())
        await ana.mutate("images:uploadAndScheduleGeneration", storageId=photo)
        await screen.until(lambda: len(shown()) == 1)
        await screen.until(lambda: shown() == ["completed"])
    await deployment.check_books()


async def test_one_worker_takes_what_arrives_while_it_is_busy(deployment: Deployment) -> None:
    """Free slots are filled when something becomes due, not when something else ends."""
    (_, url), _ = await asyncio.gather(deployment.web(), deployment.worker())
    ana = deployment.person("ana", url)
    photos = [await ana.upload(pictures.jpeg()) for _ in range(6)]
    for photo in photos:
        await ana.mutate("images:uploadAndScheduleGeneration", storageId=photo)
    await deployment.settled(len(photos))
    assert {each["state"] for each in await deployment.generations()} == {"succeeded"}
    await deployment.check_books()


async def test_the_work_of_a_killed_worker_is_finished_by_another(deployment: Deployment) -> None:
    (_, url), doomed = await asyncio.gather(deployment.web(), deployment.worker(GENERATION_CONCURRENCY="2"))
    ana = deployment.person("ana", url)
    photos = [await ana.upload(pictures.jpeg(1_600, 1_200)) for _ in range(5)]
    for photo in photos:
        await ana.mutate("images:uploadAndScheduleGeneration", storageId=photo)
    leased = {"kind": "generate_image", "state": "leased"}
    async with asyncio.timeout(DEADLINE_S), await deployment.database["jobs"].watch() as changes:
        while not await deployment.database["jobs"].count_documents(leased):
            await changes.next()
        await doomed.kill()
    abandoned = await deployment.database["jobs"].count_documents(leased)
    assert abandoned > 0
    await deployment.worker()
    await deployment.settled(len(photos))
    jobs, images = await deployment.generations(), await deployment.rows("images")
    assert [each["state"] for each in jobs] == ["succeeded"] * len(photos)
    assert sum(each["attempt"] > 1 for each in jobs) == abandoned
    assert [each["generationStatus"] for each in images] == ["completed"] * 2 * len(photos)
    assert (await ana.query("users:getCurrentUserCredits"))["credits"] == TRIAL_CREDITS - len(photos)
    await deployment.check_books()


async def test_a_web_process_killed_at_any_instant_loses_and_repeats_nothing(deployment: Deployment) -> None:
    """Whoever sends a mutation again with the same session and number gets its one effect."""
    chance = random.Random(SEED)
    await deployment.client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=ORPHAN_LIFETIME_S)
    spare: asyncio.Task[tuple[Running, str]] = asyncio.create_task(deployment.web())
    names: list[str] = []
    for kill in range(KILLS):
        (doomed, url), spare = await spare, asyncio.create_task(deployment.web())
        people = [f"person-{kill}-{number}" for number in range(PEOPLE_PER_KILL)]
        names += people
        photos = [stored_photo(name) for name in people]
        await deployment.database["_storage"].insert_many([codec.encode(each) for each in photos])
        gate = asyncio.Event()
        clients = [
            asyncio.create_task(pay(deployment, url, name, photo.id, gate, chance.uniform(0.0, 0.15)))
            for name, photo in zip(people, photos, strict=True)
        ]
        gate.set()
        await asyncio.sleep(chance.uniform(0.05, 0.2))  # the instant is what is drawn, not waited for
        await doomed.kill()
        ended = zip(await asyncio.gather(*clients), photos, strict=True)
        unfinished = [(machine, photo) for machine, photo in ended if machine.unsettled]
        await deployment.check_books()
        _, next_url = await asyncio.shield(spare)
        for machine, photo in unfinished:
            await insist(next_url, machine, photo.id)
    await deployment.check_books()
    users = {each["userId"]: each["credits"] for each in await deployment.rows("users")}
    assert users == dict.fromkeys(names, TRIAL_CREDITS - 1)
    assert len(await deployment.rows("images")) == len(await deployment.rows("receipts")) == len(names)
    await spare
    await deployment.client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=TRANSACTION_LIFETIME_S)


async def insist(url: str, machine: ClientMachine, photo: str) -> None:
    """Send again what has not settled; and, as a person would, ask anew where the answer is to try again."""
    async with line(url, machine) as again:
        while True:
            events = await again.until(lambda: machine.unsettled == 0)
            (settled,) = [each for each in events if isinstance(each, MutationSettled)]
            if isinstance(settled.outcome, Raw):
                return
            assert settled.outcome.message.startswith("CONFLICT"), settled
            await again.send(machine.mutation(GENERATE, {"storageId": photo})[1])


def stored_photo(owner: str) -> Blob:
    """What an upload leaves behind, without the upload."""
    return Blob(
        id=Id(secrets.token_hex(16)), kind="upload", owner=owner, content_type="image/jpeg", size=1, sha256="",
        width=1, height=1, placeholder="", uploaded_size=1, uploaded_content_type="image/jpeg",
        created_at=time.time() * 1_000, grant=secrets.token_hex(8),
    )  # fmt: skip


async def pay(
    deployment: Deployment, url: str, name: str, photo: str, gate: asyncio.Event, delay_s: float
) -> ClientMachine:
    """Ask for a generation at a drawn instant, and see what comes of it until the process is gone."""
    machine = ClientMachine(uuid4())
    machine.authenticate(deployment.token(name))
    await gate.wait()
    await asyncio.sleep(delay_s)
    machine.mutation(GENERATE, {"storageId": photo})
    try:
        async with line(url, machine) as open_line:
            await open_line.until(lambda: machine.unsettled == 0)
    except (ConnectionClosed, InvalidMessage, OSError):
        machine.disconnect()
    return machine
