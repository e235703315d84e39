"""The queue on a real mongod: who may have a job, who may settle it, and what a reader of due jobs depends on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest

from jobs.errors import LeaseLost
from jobs.policy import Complete, Decision, GiveUp, Postpone, Retry
from jobs.queue import Claim, JobSpec, Lapsed, cancel, claim, due, enqueue, hand_back, of_subject, renew, settle
from schema.keys import key_of
from schema.reader import Reader
from schema.readset import Touch, WriteSet, overlap
from schema.system import Job, JobState
from schema.values import Id, Millis, seconds
from schema.writer import Writer
from server.store.mongo import MongoStore
from tests.support.workshop import START_MS as NOW
from tests.support.workshop import Workshop, open_workshop

T = TypeVar("T")

SPEC = JobSpec("draw", max_attempts=2)
LEASE = SPEC.lease


@pytest.fixture
async def shop(premises: MongoStore) -> AsyncIterator[Workshop]:
    """An empty database."""
    async with open_workshop(premises) as workshop:
        yield workshop


async def write(shop: Workshop, work: Callable[[Writer], Awaitable[T]]) -> T:
    return (await shop.database.transact(work))[0]


async def claimed(shop: Workshop, job: Job, worker: str = "a", now: Millis = NOW) -> Claim:
    return await write(shop, lambda db: claim(db, job.id, worker, now, LEASE))


async def leased(shop: Workshop, worker: str = "a", now: Millis = NOW) -> Job:
    (job,) = await shop.order(SPEC, "s")
    found = await claimed(shop, job, worker, now)
    assert isinstance(found, Job)
    return found


async def settled(shop: Workshop, job: Job, decision: Decision, now: Millis = NOW) -> Job:
    return await write(shop, lambda db: settle(db, job, decision, now))


async def test_a_new_job_is_queued_and_due_after_its_delay(shop: Workshop) -> None:
    job = await write(shop, lambda db: enqueue(db, SPEC, "s", '{"a":1}', delay=seconds(5)))
    stored = await shop.job(job.id)
    assert stored == job
    assert (job.kind, job.subject, job.arguments, job.state) == ("draw", "s", '{"a":1}', "queued")
    assert (job.attempt, job.max_attempts, job.due_at, job.created_at) == (0, 2, NOW + seconds(5), NOW)
    assert await claimed(shop, job) is None


async def test_a_claim_leases_with_a_new_attempt_and_excludes_others(shop: Workshop) -> None:
    job = await leased(shop)
    assert (job.state, job.attempt, job.worker, job.due_at) == ("leased", 1, "a", NOW + LEASE)
    assert await claimed(shop, job, "b") is None
    assert await claimed(shop, job, "a") is None
    assert await shop.job(job.id) == job


async def test_a_lease_that_ended_is_reported_and_not_claimed(shop: Workshop) -> None:
    job = await leased(shop)
    assert await claimed(shop, job, "b", NOW + LEASE - 1) is None
    assert await claimed(shop, job, "b", NOW + LEASE) == Lapsed(job)
    assert await shop.job(job.id) == job


async def test_nothing_is_had_of_what_does_not_exist_or_has_ended(shop: Workshop) -> None:
    assert await write(shop, lambda db: claim(db, Id("nowhere"), "a", NOW, LEASE)) is None
    job = await leased(shop)
    await settled(shop, job, Complete())
    assert await claimed(shop, job, "b", NOW + 10 * LEASE) is None


async def test_renewing_moves_the_end_of_the_lease(shop: Workshop) -> None:
    job = await leased(shop)
    renewed = await write(shop, lambda db: renew(db, job, NOW + 4, LEASE))
    assert (renewed.due_at, renewed.attempt, renewed.state) == (NOW + 4 + LEASE, 1, "leased")
    # The attempt is recognised by its number, not by the moment its lease ends.
    assert (await settled(shop, job, Complete())).state == "succeeded"


@pytest.mark.parametrize(
    ("decision", "state", "reason", "due_at", "worker"),
    [
        (Complete(), "succeeded", None, NOW + LEASE, "a"),
        (Retry(NOW + 7, "Busy."), "queued", "Busy.", NOW + 7, None),
        (GiveUp("No."), "dead", "No.", NOW + LEASE, "a"),
    ],
)
async def test_settling(
    shop: Workshop, decision: Decision, state: JobState, reason: str | None, due_at: Millis, worker: str | None
) -> None:
    job = await settled(shop, await leased(shop), decision)
    assert (job.state, job.reason, job.due_at, job.worker, job.attempt) == (state, reason, due_at, worker, 1)
    assert (job.settled_at is None) == isinstance(decision, Retry)
    assert await shop.job(job.id) == job


@pytest.mark.parametrize("moved", ["retried", "retried and claimed", "given up", "cancelled", "handed back", "deleted"])
async def test_an_attempt_that_moved_on_can_neither_renew_nor_settle_nor_hand_back(shop: Workshop, moved: str) -> None:
    job = await leased(shop)
    if moved.startswith("retried"):
        await settled(shop, job, Retry(NOW, "Busy."))
        if moved.endswith("claimed"):
            assert isinstance(await claimed(shop, job, "a"), Job)
    elif moved == "given up":
        await settled(shop, job, GiveUp("No."))
    elif moved == "cancelled":
        await write(shop, lambda db: cancel(db, job.id, NOW))
    elif moved == "handed back":
        await write(shop, lambda db: hand_back(db, job, NOW))
    else:
        await write(shop, lambda db: db.delete(job))
    before = None if moved == "deleted" else await shop.job(job.id)
    decisions: tuple[Decision, ...] = (Complete(), Retry(NOW, "x"), GiveUp("x"))
    for decision in decisions:
        with pytest.raises(LeaseLost):
            await settled(shop, job, decision)
    with pytest.raises(LeaseLost):
        await write(shop, lambda db: renew(db, job, NOW, LEASE))
    with pytest.raises(LeaseLost) as caught:
        await write(shop, lambda db: hand_back(db, job, NOW))
    assert (caught.value.job_id, caught.value.attempt) == (job.id, 1)
    assert before is None or await shop.job(job.id) == before


async def test_handing_back_costs_no_attempt_and_gives_no_token_twice(shop: Workshop) -> None:
    job = await leased(shop)
    back = await write(shop, lambda db: hand_back(db, job, NOW + 1))
    assert (back.state, back.due_at, back.worker) == ("queued", NOW + 1, None)
    assert (back.attempt, back.max_attempts) == (1, 3)
    again = await claimed(shop, back, "a", NOW + 1)
    assert isinstance(again, Job)
    assert again.attempt == 2
    with pytest.raises(LeaseLost):
        await settled(shop, job, Complete())


async def test_postponing_costs_no_attempt_and_waits(shop: Workshop) -> None:
    job = await leased(shop)
    postponed = await settled(shop, job, Postpone(NOW + 7, "Down."))
    assert (postponed.state, postponed.due_at, postponed.worker) == ("queued", NOW + 7, None)
    assert (postponed.attempt, postponed.max_attempts, postponed.reason) == (1, 3, "Down.")
    assert postponed.settled_at is None
    assert await claimed(shop, job, "b", NOW + 6) is None


async def test_cancelling_ends_what_has_not_ended(shop: Workshop) -> None:
    (queued,) = await shop.order(SPEC, "q")
    for job in (queued, await leased(shop)):
        ended = await write(shop, lambda db, job_id=job.id: cancel(db, job_id, NOW + 9))  # type: ignore[misc]
        assert ended is not None
        assert (ended.state, ended.settled_at) == ("cancelled", NOW + 9)
        assert await write(shop, lambda db, job_id=job.id: cancel(db, job_id, NOW)) is None  # type: ignore[misc]
    assert await write(shop, lambda db: cancel(db, Id("nowhere"), NOW)) is None


async def test_jobs_of_a_subject_newest_first(shop: Workshop) -> None:
    (first,) = await shop.order(SPEC, "s")
    await shop.order(SPEC, "other")
    shop.clock.advance(1)
    (second,) = await shop.order(SPEC, "s")
    assert await of_subject(await shop.database.newest(), "s") == [second, first]


# --- what is due -----------------------------------------------------------------------------------------------------


async def test_due_are_the_oldest_queued_and_lapsed(shop: Workshop) -> None:
    (late,) = await shop.order(SPEC, "late", delay=30)
    held = await leased(shop)
    lapsing = await write(shop, lambda db: renew(db, held, NOW + 20, 0))
    (early,) = await shop.order(SPEC, "early", delay=10)
    (future,) = await shop.order(SPEC, "future", delay=50)
    reader = await shop.database.newest()
    assert [job.id for job in await due(reader, NOW + 30, 10)] == [early.id, lapsing.id, late.id]
    assert [job.id for job in await due(reader, NOW + 30, 2)] == [early.id, lapsing.id]
    assert [job.id for job in await due(reader, NOW + 20, 2)] == [early.id, lapsing.id]
    assert future.due_at == NOW + 50


@pytest.mark.parametrize(
    ("delays", "leases", "limit", "expected"),
    [
        ((), (), 4, None),
        ((50, 30), (), 4, NOW + 30),
        ((50,), (20,), 4, NOW + 20),
        ((0, 50), (), 4, NOW + 50),
        ((0, 50), (), 1, None),
        ((0, 50), (0,), 2, None),
    ],
)
async def test_the_answer_expires_when_the_next_job_is_due(
    shop: Workshop, delays: tuple[Millis, ...], leases: tuple[Millis, ...], limit: int, expected: Millis | None
) -> None:
    for delay in delays:
        await shop.order(SPEC, "s", delay=delay)
    for ends in leases:
        await leased(shop, now=NOW)
        (job,) = [each for each in await of_subject(await shop.database.newest(), "s") if each.state == "leased"]
        await write(shop, lambda db, job=job, ends=ends: renew(db, job, NOW + ends, 0))  # type: ignore[misc]
    reader = await shop.database.newest()
    assert len(await due(reader, NOW, limit)) <= limit
    assert reader.read_set().deadline == expected


def touching(state: JobState, due_at: Millis) -> WriteSet:
    index = Job.by_state_and_due.index
    return WriteSet(frozenset({Touch("jobs", index.name, key_of(state, due_at, "some id"))}))


async def test_the_read_set_meets_earlier_jobs_and_not_later_ones(shop: Workshop) -> None:
    await shop.order(SPEC, "s", delay=100)
    reader: Reader = await shop.database.newest()
    assert await due(reader, NOW, 4) == []
    reads = reader.read_set()
    for state, due_at, expected in (
        ("queued", NOW - 5, True),
        ("queued", NOW, True),
        ("queued", NOW + 50, True),
        ("queued", NOW + 150, False),
        ("leased", NOW + 10, True),
        ("succeeded", NOW, False),
        ("dead", NOW, False),
    ):
        assert overlap(reads, touching(state, due_at)) is expected, (state, due_at)  # type: ignore[arg-type]
    assert reads.deadline == NOW + 100


async def test_a_full_answer_depends_on_nothing_beyond_it(shop: Workshop) -> None:
    await shop.order(SPEC, "s", "t")
    await shop.order(SPEC, "u", delay=10)
    reader = await shop.database.newest()
    assert len(await due(reader, NOW + 20, 2)) == 2
    assert not overlap(reader.read_set(), touching("queued", NOW + 10))
    assert overlap(reader.read_set(), touching("queued", NOW - 1))
