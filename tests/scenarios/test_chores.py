"""What the product does by itself: it fires each tick once, sweeps what nobody needs, and audits its own ledger."""

from __future__ import annotations

import asyncio
import logging

import pytest

from jobs.queue import JobSpec
from jobs.schedule import Recurring, fire
from schema.blobs import Blob
from schema.errors import NotUnique
from schema.system import Job, JobState
from schema.users import User
from schema.values import Id, Millis, hours, minutes
from server.functions.auditing import Auditor
from server.functions.sweeping import UNCLAIMED_FOR, Sweeper
from server.ids import capability_id
from tests.scenarios.conftest import Meet
from tests.scenarios.stock import change, member, now, one, put
from tests.support import pictures
from tests.support.live import Refusal, world_client
from tests.support.world import World

WORKERS = 8


async def test_a_tick_is_fired_once_whoever_is_there(town: World) -> None:
    recurring = Recurring(JobSpec(f"chore-{capability_id()}"), every=minutes(10))
    moment = now()

    async def worker() -> bool:
        try:
            return (await town.runtime.database.transact(lambda db: fire(db, recurring, moment)))[0] is not None
        except NotUnique:
            return False

    assert sum(await asyncio.gather(*(worker() for _ in range(WORKERS)))) == 1
    assert not await worker()
    moment = recurring.next_at(moment)
    assert await worker()


def sweeping_at(moment: Millis) -> Job:
    """A sweep asked for at this moment."""
    return Job(
        id=Id(capability_id()), kind="sweep_files", subject="sweep_files", arguments="{}", state="leased", attempt=1,
        max_attempts=1, due_at=moment, created_at=moment,
    )  # fmt: skip


async def age(town: World, blob_id: str) -> None:
    """Let a file have been uploaded longer ago than anybody has to claim it."""
    await change(town, Blob, blob_id, created_at=now() - UNCLAIMED_FOR - hours(1))


async def test_uploads_that_nobody_claimed_are_swept_and_no_others(town: World, meet: Meet) -> None:
    sweeper = Sweeper(town.runtime.database, town.runtime.vault)
    async with meet("ana") as ana:
        photo = pictures.jpeg(64, 48)
        old, fresh, used = await ana.upload(photo), await ana.upload(photo), await ana.upload(photo)
        await ana.mutation("images:uploadAndScheduleGeneration", storageId=used)
        for blob_id in (old, used):
            await age(town, blob_id)

        await sweeper.sweep(sweeping_at(now()))

        assert await one(town, Blob, old) is None
        assert (await ana.http.get(f"{town.url}/api/storage/{old}")).status_code == 404
        for blob_id in (fresh, used):
            assert (await ana.http.get(f"{town.url}/api/storage/{blob_id}")).status_code == 200


async def test_a_claim_and_a_sweep_at_the_same_moment_never_both_get_the_file(town: World, meet: Meet) -> None:
    sweeper = Sweeper(town.runtime.database, town.runtime.vault)
    async with meet("ana") as ana:
        await ana.mutation("users:ensureUser")
        for _ in range(8):
            blob_id = await ana.upload(pictures.jpeg(64, 48))
            await age(town, blob_id)
            claim, _ = await asyncio.gather(
                ana.mutation("images:uploadAndScheduleGeneration", storageId=blob_id),
                sweeper.sweep(sweeping_at(now())),
                return_exceptions=True,
            )
            assert isinstance(claim, str | Refusal), claim
            assert (await one(town, Blob, blob_id) is not None) == isinstance(claim, str)


async def test_contents_without_a_row_are_swept_once_they_are_old(town: World) -> None:
    sweeper, vault = Sweeper(town.runtime.database, town.runtime.vault), town.runtime.vault
    blob_id = capability_id()
    await vault.put(blob_id, b"left behind by a killed process", "image/webp")

    await sweeper.sweep(sweeping_at(now()))
    assert b"".join([piece async for piece in vault.read(blob_id)])

    await sweeper.sweep(sweeping_at(now() + UNCLAIMED_FOR + minutes(1)))
    assert blob_id not in await vault.older_than(now() + minutes(1), after="", limit=1_000)


async def test_the_audit_is_silent_while_the_books_are_right_and_loud_when_not(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    auditor = Auditor(world.runtime.database)
    async with world_client(world, "ana") as ana:
        await ana.mutation("users:ensureUser")
        await ana.photo()
        assert ana.subject is not None
        user = await member(world, ana.subject)
        before = auditor.audits
        with caplog.at_level(logging.CRITICAL, "anime.ledger"):
            await auditor.audit(sweeping_at(now()))
            assert (auditor.audits, auditor.imbalanced, caplog.messages) == (before + 1, 0, [])
            await change(world, User, user.id, credits=user.credits + 5)
            await auditor.audit(sweeping_at(now()))
        assert auditor.imbalanced == 1
        assert caplog.messages == ["LEDGER: a member's balance is 14, and their movements sum to 9"]
        assert (await member(world, ana.subject)).credits == 14, "an audit repairs nothing"
        await change(world, User, user.id, credits=user.credits)


async def test_old_jobs_are_forgotten_but_not_the_dead(town: World) -> None:
    long_ago = now() - hours(24 * 31)
    states: tuple[JobState, ...] = ("succeeded", "cancelled", "dead")
    old = await put(
        town,
        *(
            Job(kind="chore", subject="x", arguments="{}", state=state, attempt=1, max_attempts=1, due_at=long_ago,
                created_at=long_ago)
            for state in states
        ),
    )  # fmt: skip
    await Auditor(town.runtime.database).prune(sweeping_at(now()))
    assert [await one(town, Job, each.id) is not None for each in old] == [False, False, True]
