"""The job loop on a real mongod and a real change stream: workers race, vanish, are cut off, drained and cancelled.

Time is moved by hand, except for heartbeats; what the workers wrote is read from the journal of their own transactions.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest

from jobs.outcome import Outcome, Refused, Transient
from jobs.queue import JobSpec, cancel
from jobs.seams import Watch
from schema.errors import StoreUnavailable
from schema.reader import Reader
from schema.system import Job
from schema.values import Timestamp, minutes, seconds
from schema.writer import Writer
from server.database import Database
from server.store.mongo import MongoStore
from tests.support.feed import TailFeed
from tests.support.workshop import Craft, Workshop, open_workshop, soon

T = TypeVar("T")

GRACE_S = 30.0
STEADY = JobSpec("draw", max_attempts=2, lease=minutes(10))
"""Its heartbeat does not beat during a test."""


@pytest.fixture
async def shop(premises: MongoStore) -> AsyncIterator[Workshop]:
    """An empty database."""
    async with open_workshop(premises) as workshop:
        yield workshop


async def in_order(shop: Workshop, *subjects: str) -> list[Job]:
    """Jobs of which each is older than the next."""
    jobs: list[Job] = []
    for subject in subjects:
        jobs += await shop.order(STEADY, subject)
        shop.clock.advance(1)
    return jobs


class Held:
    """Work that begins, says so, and goes on only when told; it notes how it was ended."""

    def __init__(self) -> None:
        self.begun, self.go, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._beginnings = asyncio.Semaphore(0)

    async def all_begun(self, count: int) -> None:
        for _ in range(count):
            await self._beginnings.acquire()

    async def until_told(self) -> None:
        self.begun.set()
        self._beginnings.release()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def held_craft(held: Held, spec: JobSpec = STEADY) -> Craft:
    async def work(job: Job) -> Outcome:
        await held.until_told()
        return await craft.finished(job)

    craft = Craft(spec, work)
    return craft


def failing_craft(outcome: Outcome, spec: JobSpec = STEADY) -> Craft:
    async def work(_: Job) -> Outcome:
        return outcome

    return Craft(spec, work)


class Deaf:
    """A feed that shows the present once for each question and then nothing more."""

    def __init__(self, feed: TailFeed) -> None:
        self._feed = feed

    async def look(self, read: Callable[[Reader], Awaitable[T]]) -> tuple[T, Watch]:
        found, _ = await self._feed.look(read)
        return found, self

    async def wait(self) -> None:
        await asyncio.Event().wait()


class Faulty:
    """A database whose transactions fail as often as it is told before they reach it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.failures, self.tries = 0, 0
        self.tried = asyncio.Event()

    async def transact(self, work: Callable[[Writer], Awaitable[T]]) -> tuple[T, Timestamp]:
        if self.failures > 0:
            self.failures -= 1
            self.tries += 1
            self.tried.set()
            raise StoreUnavailable("away")
        return await self._database.transact(work)


# --- racing ----------------------------------------------------------------------------------------------------------


async def test_two_workers_race_and_each_job_runs_once_at_a_time_and_completes_once(shop: Workshop) -> None:
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    at_once = {"a": 0, "b": 0}

    def craft(name: str) -> Craft:
        async def work(job: Job) -> Outcome:
            running[job.subject] += 1
            at_once[name] = max(at_once[name], sum(running.values()))
            most[job.subject] = max(most[job.subject], running[job.subject])
            await asyncio.sleep(0)
            running[job.subject] -= 1
            return await made.finished(job)

        made = Craft(STEADY, work)
        return made

    subjects = [f"s{number}" for number in range(50)]
    jobs = await shop.order(STEADY, *subjects)
    for name in ("a", "b"):
        shop.worker(name, craft(name), concurrency=5)
    done = [await shop.reaches(job.id, "succeeded", "dead") for job in jobs]
    assert {job.state for job in done} == {"succeeded"}
    assert {job.attempt for job in done} == {1}
    assert max(most.values()) == 1
    assert await shop.journal() == Counter(f"{step} {subject} 1" for step in ("begin", "done") for subject in subjects)


async def test_no_more_attempts_than_slots_and_the_repr_tells(shop: Workshop) -> None:
    held = Held()
    jobs = await in_order(shop, "a", "b", "c")
    loop, _ = shop.worker("w", held_craft(held), concurrency=2)
    for job in jobs[:2]:
        await shop.reaches(job.id, "leased")
    await soon(held.all_begun(2))
    assert repr(loop) == "<JobLoop w, 2 running, 0 free>"
    assert (await shop.job(jobs[2].id)).state == "queued"
    held.go.set()
    for job in jobs:
        await shop.reaches(job.id, "succeeded")


async def test_a_delayed_job_wakes_the_loop_at_its_moment(shop: Workshop) -> None:
    (job,) = await shop.order(STEADY, "later", delay=seconds(30))
    shop.worker("w", Craft(STEADY))
    (first,) = await shop.order(STEADY, "now")
    await shop.reaches(first.id, "succeeded")
    assert (await shop.job(job.id)).state == "queued"
    shop.clock.advance(seconds(30))
    await shop.reaches(job.id, "succeeded")


# --- failing ---------------------------------------------------------------------------------------------------------


async def test_a_failure_is_retried_after_its_pause_and_given_up_once(shop: Workshop) -> None:
    (job,) = await shop.order(STEADY, "s")
    for name in ("a", "b"):
        shop.worker(name, failing_craft(Transient("Busy.", seconds(30))))
    waiting = await shop.reaches(job.id, "queued", attempt=1)
    assert waiting.due_at >= shop.clock() + seconds(30)
    assert waiting.reason == "Busy."
    shop.clock.advance(waiting.due_at - shop.clock())
    dead = await shop.reaches(job.id, "dead")
    assert (dead.attempt, dead.reason) == (2, "Busy.")
    assert await shop.journal() == Counter(["begin s 1", "retry s 1", "begin s 2", "give up s 2"])


async def test_a_refusal_is_given_up_at_once(shop: Workshop) -> None:
    (job,) = await shop.order(STEADY, "s")
    shop.worker("w", failing_craft(Refused("No people, please.")))
    assert (await shop.reaches(job.id, "dead")).reason == "No people, please."
    assert await shop.journal() == Counter(["begin s 1", "give up s 1"])


async def test_what_run_raises_is_logged_and_counts_as_broken(shop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    async def work(_: Job) -> Outcome:
        raise RuntimeError("unforeseen")

    spec = JobSpec("draw", max_attempts=1, lease=minutes(10))
    (job,) = await shop.order(spec, "s")
    shop.worker("w", Craft(spec, work))
    assert (await shop.reaches(job.id, "dead")).reason == "Something went wrong on our side."
    (line,) = [each for each in caplog.records if getattr(each, "action", "") == "job.broken"]
    assert line.exc_info is not None
    assert "unforeseen" in str(line.exc_info[1])


async def test_a_database_that_is_away_for_a_moment_costs_no_attempt(shop: Workshop) -> None:
    async def work(job: Job) -> Outcome:
        if job.attempt == 1:
            raise StoreUnavailable
        return await craft.finished(job)

    spec = JobSpec("draw", max_attempts=1, lease=minutes(10))
    craft = Craft(spec, work)
    (job,) = await shop.order(spec, "s")
    shop.worker("w", craft)
    waiting = await shop.reaches(job.id, "queued", attempt=1)
    shop.clock.advance(waiting.due_at - shop.clock())
    assert (await shop.reaches(job.id, "succeeded")).attempt == 2


async def test_work_past_its_deadline_is_cancelled_and_retried(shop: Workshop) -> None:
    held = Held()
    spec = JobSpec("draw", max_attempts=2, lease=minutes(10), deadline=20)
    (job,) = await shop.order(spec, "s")
    shop.worker("w", held_craft(held, spec))
    assert (await shop.reaches(job.id, "queued", attempt=1)).reason == "The work took too long."
    assert held.cancelled.is_set()


async def test_work_that_cancels_itself_is_broken_and_not_lost(shop: Workshop) -> None:
    async def work(_: Job) -> Outcome:
        raise asyncio.CancelledError

    (job,) = await shop.order(STEADY, "s")
    shop.worker("w", Craft(STEADY, work))
    assert (await shop.reaches(job.id, "queued", attempt=1)).reason == "Something went wrong on our side."


async def test_an_attempt_that_cannot_begin_counts_and_the_loop_lives(shop: Workshop) -> None:
    async def begin(_: Writer, job: Job) -> None:
        if job.subject == "bad":
            raise RuntimeError("no photo")

    spec = JobSpec("draw", max_attempts=1, lease=minutes(10))
    bad, good = await shop.order(spec, "bad", "good")
    shop.worker("w", Craft(spec, begin=begin), concurrency=1)
    assert (await shop.reaches(bad.id, "dead")).attempt == 1
    await shop.reaches(good.id, "succeeded")
    assert await shop.journal() == Counter(["give up bad 1", "begin good 1", "done good 1"])


async def test_a_job_whose_failure_cannot_be_written_rests_and_blocks_nobody(shop: Workshop) -> None:
    class Stuck(Craft):
        broken = True

        async def begin(self, db: Writer, job: Job) -> None:
            if self.broken and job.subject == "bad":
                raise RuntimeError("no photo")
            await super().begin(db, job)

        async def retry(self, db: Writer, job: Job, reason: str) -> None:
            raise RuntimeError("no photo")

    craft = Stuck(STEADY)
    bad, good = await shop.order(STEADY, "bad", "good")
    shop.worker("w", craft, concurrency=1)
    await shop.reaches(good.id, "succeeded")
    assert (await shop.job(bad.id)).attempt == 0
    craft.broken = False
    shop.clock.advance(minutes(1))
    await shop.reaches(bad.id, "succeeded")


async def test_a_result_that_cannot_be_written_is_broken_and_leaves_nothing(shop: Workshop) -> None:
    async def finish(_: Writer, job: Job) -> None:
        if job.attempt == 1:
            raise RuntimeError("image is gone")

    (job,) = await shop.order(STEADY, "s")
    shop.worker("w", Craft(STEADY, finish=finish))
    waiting = await shop.reaches(job.id, "queued", attempt=1)
    shop.clock.advance(waiting.due_at - shop.clock())
    await shop.reaches(job.id, "succeeded")
    assert await shop.journal() == Counter(["begin s 1", "retry s 1", "begin s 2", "done s 2"])


async def test_an_unknown_kind_is_left_alone_logged_once_and_looked_past(
    shop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    strange = await shop.order(JobSpec("sing"), "x", "y", "z")
    shop.clock.advance(1)
    known = await shop.order(STEADY, "a", "b")
    shop.worker("w", Craft(STEADY), concurrency=1)
    for job in known:
        await shop.reaches(job.id, "succeeded")
    for job in strange:
        assert await shop.job(job.id) == job
    assert len([each for each in caplog.records if getattr(each, "action", "") == "job.unknown"]) == 1


# --- vanishing -------------------------------------------------------------------------------------------------------


async def test_a_killed_worker_is_succeeded_by_another_when_its_lease_has_ended(shop: Workshop) -> None:
    held = Held()
    (job,) = await shop.order(STEADY, "s")
    _, task = shop.worker("a", held_craft(held))
    await soon(held.begun.wait())
    task.cancel()
    await asyncio.wait([task])
    shop.worker("b", Craft(STEADY))
    (other,) = await shop.order(STEADY, "other")
    await shop.reaches(other.id, "succeeded")
    assert await shop.job(job.id) == await shop.reaches(job.id, "leased", attempt=1)
    shop.clock.advance(STEADY.lease)
    waiting = await shop.reaches(job.id, "queued", attempt=1)
    assert waiting.reason == "The work was interrupted."
    shop.clock.advance(waiting.due_at - shop.clock())
    done = await shop.reaches(job.id, "succeeded")
    assert (done.attempt, done.worker, done.reason) == (2, "b", None)
    journal = await shop.journal()
    assert {line: times for line, times in journal.items() if " s " in line} == dict.fromkeys(
        ["begin s 1", "retry s 1", "begin s 2", "done s 2"], 1
    )


async def test_when_the_last_attempt_vanishes_it_is_given_up_exactly_once(shop: Workshop) -> None:
    held = Held()
    spec = JobSpec("draw", max_attempts=1, lease=minutes(10))
    (job,) = await shop.order(spec, "s")
    _, task = shop.worker("a", held_craft(held, spec))
    await soon(held.begun.wait())
    task.cancel()
    await asyncio.wait([task])
    for name in ("b", "c", "d"):
        shop.worker(name, Craft(spec))
    shop.clock.advance(spec.lease)
    assert (await shop.reaches(job.id, "dead")).attempt == 1
    assert await shop.journal() == Counter(["begin s 1", "give up s 1"])


async def test_a_late_result_is_refused_by_the_fence(shop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    held = Held()
    (job,) = await shop.order(STEADY, "s")
    await shop.reaches(job.id, "queued")
    loop, _ = shop.worker("a", held_craft(held), feed=Deaf(shop.feed))
    await soon(held.begun.wait())
    shop.clock.advance(STEADY.lease)
    shop.worker("b", Craft(STEADY))
    waiting = await shop.reaches(job.id, "queued", attempt=1)
    shop.clock.advance(waiting.due_at - shop.clock())
    await shop.reaches(job.id, "succeeded", attempt=2)
    held.go.set()
    await soon(loop.drain(GRACE_S))
    assert not held.cancelled.is_set()
    assert [each.getMessage() for each in caplog.records if getattr(each, "action", "") == "job.lost"] == [
        f"Attempt 1 no longer holds the job {job.id}."
    ]
    assert await shop.journal() == Counter(["begin s 1", "retry s 1", "begin s 2", "done s 2"])


async def test_a_lost_lease_cancels_the_work_at_once(shop: Workshop) -> None:
    held = Held()
    (job,) = await shop.order(STEADY, "s")
    shop.worker("a", held_craft(held))
    await soon(held.begun.wait())
    shop.clock.advance(STEADY.lease)
    shop.worker("b", failing_craft(Refused("No.")))
    await shop.reaches(job.id, "queued", attempt=1)
    await soon(held.cancelled.wait())


async def test_the_heartbeat_renews_the_lease(shop: Workshop) -> None:
    held = Held()
    spec = JobSpec("draw", lease=60)
    (job,) = await shop.order(spec, "s")
    shop.worker("a", held_craft(held, spec))
    first = await shop.reaches(job.id, "leased")
    shop.clock.advance(5)

    async def read(db: Reader) -> float:
        return (await db.need(Job, job.id)).due_at

    assert await soon(shop.feed.until(read, lambda ends: ends > first.due_at)) == first.due_at + 5
    held.go.set()
    assert (await shop.reaches(job.id, "succeeded")).attempt == 1


async def test_the_heartbeat_notices_a_lost_lease_without_the_feed(shop: Workshop) -> None:
    held = Held()
    spec = JobSpec("draw", lease=60)
    (job,) = await shop.order(spec, "s")
    await shop.reaches(job.id, "queued")
    shop.worker("a", held_craft(held, spec), feed=Deaf(shop.feed))
    await soon(held.begun.wait())
    await shop.database.transact(lambda db: cancel(db, job.id, shop.clock()))
    await soon(held.cancelled.wait())


# --- cancelling and draining -----------------------------------------------------------------------------------------


async def test_cancelling_a_job_cancels_its_work(shop: Workshop) -> None:
    held = Held()
    (job,) = await shop.order(STEADY, "s")
    loop, _ = shop.worker("a", held_craft(held))
    await soon(held.begun.wait())
    await shop.database.transact(lambda db: cancel(db, job.id, shop.clock()))
    await soon(held.cancelled.wait())
    await soon(loop.drain(GRACE_S))
    assert (await shop.job(job.id)).state == "cancelled"
    assert await shop.journal() == Counter(["begin s 1"])


async def test_draining_lets_work_end_and_claims_nothing_more(shop: Workshop) -> None:
    held = Held()
    first, second = await in_order(shop, "a", "b")
    loop, task = shop.worker("w", held_craft(held), concurrency=1)
    await soon(held.begun.wait())
    draining = asyncio.create_task(loop.drain(GRACE_S))
    await asyncio.sleep(0)
    assert repr(loop) == "<JobLoop w, 1 running, 0 free, draining>"
    held.go.set()
    await soon(draining)
    await soon(task)
    assert (await shop.job(first.id)).state == "succeeded"
    assert (await shop.job(second.id)).state == "queued"
    assert repr(loop) == "<JobLoop w, 0 running, 1 free, draining>"


async def test_draining_an_idle_loop_ends_at_once(shop: Workshop) -> None:
    loop, task = shop.worker("w", Craft(STEADY))
    (job,) = await shop.order(STEADY, "s")
    await shop.reaches(job.id, "succeeded")
    await soon(loop.drain(0))
    await soon(task)


async def test_what_does_not_end_in_time_is_handed_back_and_costs_no_attempt(shop: Workshop) -> None:
    held = Held()
    spec = JobSpec("draw", max_attempts=1, lease=minutes(10))
    (job,) = await shop.order(spec, "s")
    loop, task = shop.worker("a", held_craft(held, spec))
    await soon(held.begun.wait())
    await soon(loop.drain(0))
    await soon(task)
    assert held.cancelled.is_set()
    back = await shop.job(job.id)
    assert (back.state, back.attempt, back.max_attempts, back.due_at) == ("queued", 1, 2, shop.clock())
    shop.worker("b", Craft(spec))
    assert (await shop.reaches(job.id, "succeeded")).attempt == 2
    assert await shop.journal() == Counter(["begin s 1", "retry s 1", "begin s 2", "done s 2"])


# --- a database that is away -----------------------------------------------------------------------------------------


async def test_settling_is_tried_again_while_the_lease_lasts(shop: Workshop) -> None:
    held, database = Held(), Faulty(shop.database)
    (job,) = await shop.order(STEADY, "s")
    shop.worker("w", held_craft(held), database=database)
    await soon(held.begun.wait())
    database.failures = 3
    held.go.set()
    assert (await shop.reaches(job.id, "succeeded")).attempt == 1
    assert database.tries == 3
    assert await shop.journal() == Counter(["begin s 1", "done s 1"])


async def test_settling_is_dropped_when_the_lease_is_over(shop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    held, database = Held(), Faulty(shop.database)
    (job,) = await shop.order(STEADY, "s")
    loop, _ = shop.worker("w", held_craft(held), database=database)
    await soon(held.begun.wait())
    database.failures = 1_000_000
    held.go.set()
    await soon(database.tried.wait())
    shop.clock.advance(STEADY.lease)
    await soon(loop.drain(GRACE_S))
    assert "job.lost" in {getattr(each, "action", "") for each in caplog.records}
    assert (await shop.job(job.id)).state == "leased"
    assert await shop.journal() == Counter(["begin s 1"])


async def test_claiming_goes_on_when_the_database_is_back(shop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    database = Faulty(shop.database)
    database.failures = 3
    (job,) = await shop.order(STEADY, "s")
    shop.worker("w", Craft(STEADY), database=database)
    await shop.reaches(job.id, "succeeded")
    assert database.tries == 3
    assert len([each for each in caplog.records if getattr(each, "action", "") == "jobs.away"]) == 3


async def test_a_loop_without_work_asks_nothing(shop: Workshop) -> None:
    loop, _ = shop.worker("w", Craft(STEADY))
    (job,) = await shop.order(STEADY, "s")
    await shop.reaches(job.id, "succeeded")
    (later,) = await shop.order(STEADY, "t", delay=minutes(5))
    (last,) = await shop.order(STEADY, "u", delay=minutes(4))
    await shop.reaches(later.id, "queued")
    await shop.reaches(last.id, "queued")
    before = shop.feed.looks
    shop.clock.advance(minutes(4))
    await shop.reaches(last.id, "succeeded")
    assert shop.feed.looks - before < 30
    assert repr(loop).startswith("<JobLoop w")
