"""A workshop: an empty database with a feed, a clock to move, workers to hire, and a kind of work that keeps a journal.

Invariant: the journal is written by the runner's own hooks inside the loop's transactions, so it holds what was
committed.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import uuid4

from pymongo import AsyncMongoClient

from jobs.loop import JobLoop
from jobs.outcome import Done, Outcome
from jobs.queue import JobSpec, enqueue
from jobs.runner import Runner
from jobs.seams import Feed, Transact
from schema.reader import Reader
from schema.system import Job, JobState
from schema.values import Id, Millis
from schema.writer import Writer
from server.auth.grants import SignedCursors
from server.database import Database
from server.store.mongo import MongoStore
from server.store.setup import set_up
from tests.support.feed import MovableClock, TailFeed

DEADLINE_S = 20.0
FEED_GRACE_S = 3.0
START_MS = 1_700_000_000_000.0
JOURNAL = "journal"
"""Its lines are settled jobs about this subject: rows that no loop looks at."""

T = TypeVar("T")
Work = Callable[[Job], Awaitable[Outcome]]
Hook = Callable[[Writer, Job], Awaitable[None]]


async def nothing(_: Writer, __: Job) -> None: ...


class Craft:
    """A runner that does what the test says and notes every committed step as `step subject attempt`."""

    def __init__(self, spec: JobSpec, work: Work | None = None, begin: Hook = nothing, finish: Hook = nothing) -> None:
        self.spec = spec
        self._work, self._begin, self._finish = work or self.finished, begin, finish

    async def begin(self, db: Writer, job: Job) -> None:
        await note(db, "begin", job)
        await self._begin(db, job)

    async def run(self, job: Job) -> Outcome:
        return await self._work(job)

    async def retry(self, db: Writer, job: Job, reason: str) -> None:
        await note(db, "retry", job)

    async def give_up(self, db: Writer, job: Job, reason: str) -> None:
        await note(db, "give up", job)

    async def finished(self, job: Job) -> Outcome:
        """The outcome of work that succeeded."""

        async def commit(db: Writer) -> None:
            await note(db, "done", job)
            await self._finish(db, job)

        return Done(commit)


async def note(db: Writer, step: str, job: Job) -> None:
    """Write a line of the journal."""
    line = f"{step} {job.subject} {job.attempt}"
    await db.insert(
        Job(
            kind=line,
            subject=JOURNAL,
            arguments="{}",
            state="succeeded",
            attempt=0,
            max_attempts=0,
            due_at=db.now,
            created_at=db.now,
        )
    )


async def soon(wanted: Awaitable[T]) -> T:
    """Wait for what must happen; a test that waits in vain fails."""
    async with asyncio.timeout(DEADLINE_S):
        return await wanted


class Workshop:
    """Everything a test of the queue or the loop needs, around one empty database."""

    def __init__(self, database: Database, feed: TailFeed) -> None:
        self.database, self.feed, self.clock = database, feed, feed.clock
        self._hired: list[tuple[JobLoop, asyncio.Task[None]]] = []

    def __repr__(self) -> str:
        return f"<Workshop {self.database!r}, {len(self._hired)} workers>"

    def worker(
        self,
        name: str,
        *crafts: Runner,
        concurrency: int = 4,
        database: Transact | None = None,
        feed: Feed | None = None,
    ) -> tuple[JobLoop, asyncio.Task[None]]:
        """A job loop and the task that runs it."""
        loop = JobLoop(
            database or self.database,
            feed or self.feed,
            {each.spec.kind: each for each in crafts},
            worker=name,
            concurrency=concurrency,
            clock=self.clock,
            random=random.Random(name).random,
        )
        task = asyncio.create_task(loop.run(), name=name)
        self._hired.append((loop, task))
        return loop, task

    async def order(self, spec: JobSpec, *subjects: str, delay: Millis = 0) -> list[Job]:
        """Enqueue a job about each subject, in one transaction."""

        async def write(db: Writer) -> list[Job]:
            return [await enqueue(db, spec, subject, delay=delay) for subject in subjects]

        return (await self.database.transact(write))[0]

    async def job(self, job_id: Id[Job]) -> Job:
        """The job as it is now."""
        return await (await self.database.newest()).need(Job, job_id)

    async def reaches(self, job_id: Id[Job], *states: JobState, attempt: int | None = None) -> Job:
        """Wait for a job to be in one of these states."""

        def is_so(job: Job | None) -> bool:
            return job is not None and job.state in states and attempt in (None, job.attempt)

        async def read(db: Reader) -> Job | None:
            return await db.get(Job, job_id)

        found = await soon(self.feed.until(read, is_so))
        assert found is not None
        return found

    async def journal(self) -> Counter[str]:
        """Every committed step, counted."""
        rows = await (await self.database.newest()).take(Job.by_subject.eq(subject=JOURNAL), 1_000)
        return Counter(row.kind for row in rows)

    async def close(self) -> None:
        """Send everybody home at once. Raises what a worker died of."""
        for loop, task in self._hired:
            await loop.drain(0)
            task.cancel()
        for ended in await asyncio.gather(*(task for _, task in self._hired), return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


@asynccontextmanager
async def open_premises(uri: str) -> AsyncIterator[MongoStore]:
    """A database for one workshop after the other: making its tables takes longer than most stories that are told in it."""
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        store = MongoStore(client, f"jobs_{uuid4().hex[:12]}")
        await set_up(store.database)
        yield store
        await client.drop_database(store.database.name)


@asynccontextmanager
async def open_workshop(store: MongoStore) -> AsyncIterator[Workshop]:
    """A workshop that is gone without a trace afterwards."""
    clock = MovableClock(START_MS)
    database = Database(store, SignedCursors(bytes(32)), clock)
    feed = TailFeed(database, clock, await store.newest())
    following = asyncio.create_task(feed.run(), name="feed")
    workshop = Workshop(database, feed)
    try:
        yield workshop
    finally:
        try:
            await workshop.close()
        finally:
            while not following.done():  # a cancellation may be dropped below: see jobs/cancellation.py
                following.cancel()
                await asyncio.wait([following], timeout=FEED_GRACE_S)
            for name in await store.database.list_collection_names():
                await store.database[name].delete_many({})
