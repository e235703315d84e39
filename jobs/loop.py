"""The job loop: looks for due jobs, claims as many as there are free slots, and owns their attempts.

Invariant: never more attempts than `concurrency`, each owned by `run`. The loop sleeps until the feed shows a change, a
moment comes or a slot is free; it never asks twice what it knows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial

from jobs.attempt import Attempt, fields
from jobs.cancellation import honoured
from jobs.errors import UnknownJob
from jobs.fairness import fair, owner_of
from jobs.lease import Lease
from jobs.patience import NOT_NOW, Patience
from jobs.queue import Lapsed, due
from jobs.runner import Runner
from jobs.seams import Chance, Clock, Feed, Transact, Watch
from jobs.tally import Ending, Tally
from jobs.transactions import fail_to_start, start
from jobs.waits import Waits
from schema.reader import Reader
from schema.system import Job
from schema.values import Id, Millis, seconds

FAIR_WINDOW_JOBS = 200
"""Among so many of the longest waiting the free slots are shared out fairly."""
MAX_LOOK_JOBS = 1_000
REST_MS: Millis = seconds(30)
"""How long a job is left alone when not even its failure could be written."""
HAND_BACK_S = 10.0

log = logging.getLogger("anime.jobs")


class JobLoop:
    """One worker: takes due jobs of the kinds it has runners for, oldest first."""

    __slots__ = (
        "_attempts", "_clock", "_concurrency", "_database", "_ended", "_feed", "_freed", "_patience", "_random",
        "_resting", "_runners", "_served", "_skipped", "_stopping", "_turns", "_unknown", "_waits", "_worker", "tally",
    )  # fmt: skip

    def __init__(
        self,
        database: Transact,
        feed: Feed,
        runners: Mapping[str, Runner],
        *,
        worker: str,
        concurrency: int,
        clock: Clock,
        random: Chance,
    ) -> None:
        self._database, self._feed, self._runners = database, feed, runners
        self._worker, self._concurrency = worker, concurrency
        self._clock, self._random = clock, random
        self.tally = Tally()
        self._attempts: dict[Id[Job], Attempt] = {}
        self._resting: dict[Id[Job], Millis] = {}
        self._unknown: set[str] = set()
        self._served: dict[str, int] = {}
        self._turns = 0
        self._skipped = 0
        self._patience = Patience(random)
        self._waits, self._stopping = Waits(), False
        self._freed, self._ended = asyncio.Event(), asyncio.Event()
        self._ended.set()

    def __repr__(self) -> str:
        running = len(self._attempts)
        state = ", draining" if self._waits.ended else ""
        return f"<JobLoop {self._worker}, {running} running, {self._concurrency - running} free{state}>"

    @property
    def running(self) -> int:
        """How many attempts are under way."""
        return len(self._attempts)

    async def run(self) -> None:
        """Work until drained. Cancelled, it leaves its jobs to their leases."""
        self._ended.clear()
        try:
            async with asyncio.TaskGroup() as group:
                while not self._waits.ended:
                    await self._turn(group)
        finally:
            self._ended.set()

    async def drain(self, grace_s: float) -> None:
        """Claim nothing more, give what runs `grace_s` to end, then stop it and hand it back, and let `run` return.

        What cannot be handed back in time, because the database is away, is left to its lease.
        """
        log.info("draining %r", self, extra={"action": "jobs.drain"})
        self._waits.end()
        if await self._ends_within(grace_s):
            return
        self._stopping = True
        for attempt in self._attempts.values():
            attempt.stop()
        if not await self._ends_within(HAND_BACK_S):
            log.error("not drained: %r", self, extra={"action": "jobs.not_drained"})

    async def _ends_within(self, limit_s: float) -> bool:
        try:
            async with asyncio.timeout(limit_s):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    async def _turn(self, group: asyncio.TaskGroup) -> None:
        """Look once, claim what is due, and wait for a reason to look again."""
        free = self._concurrency - len(self._attempts)
        if free <= 0:
            self._freed.clear()
            await self._waits.wait(self._freed.wait)
            return
        try:
            chosen, watch = await self._look(free)
            rested = await self._take(chosen, group)
        except NOT_NOW as error:
            log.warning("the database is away: %s", type(error).__name__, extra={"action": "jobs.away"})
            await self._waits.wait(self._patience.pause)
        except Exception:
            log.exception("the job loop stumbled", extra={"action": "jobs.stumbled"})
            await self._waits.wait(self._patience.pause)
        else:
            self._patience.reset()
            if not rested and len(self._attempts) < self._concurrency:
                await self._waits.wait(watch.wait)

    # --- looking ------------------------------------------------------------------------------------------

    async def _look(self, free: int) -> tuple[Sequence[tuple[Job, Runner]], Watch]:
        """Due jobs for the free slots, and a watch over what could change that; past those that must be left alone."""
        while True:
            limit = min(MAX_LOOK_JOBS, max(free, FAIR_WINDOW_JOBS) + self._skipped)
            found, watch = await honoured(self._feed.look(partial(self._due, limit=limit)))
            chosen = [(job, runner) for job in found if (runner := self._runner_for(job)) is not None]
            self._skipped = len(found) - len(chosen)
            if len(chosen) >= free or len(found) < limit or limit == MAX_LOOK_JOBS:
                runners = dict(chosen)
                running = [attempt.job for attempt in self._attempts.values()]
                waiting = {owner_of(job) for job in runners}
                self._served = {owner: turn for owner, turn in self._served.items() if owner in waiting}
                return [(job, runners[job]) for job in fair(list(runners), running, free, self._served)], watch

    async def _due(self, db: Reader, limit: int) -> list[Job]:
        now = self._clock()
        self._resting = {job_id: until for job_id, until in self._resting.items() if until > now}
        for until in self._resting.values():
            db.expire_at(until)
        return await due(db, now, limit)

    def _runner_for(self, job: Job) -> Runner | None:
        """Who runs this job, or None where it is to be left alone."""
        if job.id in self._attempts or job.id in self._resting:
            return None
        runner = self._runners.get(job.kind)
        if runner is None and job.kind not in self._unknown:
            self._unknown.add(job.kind)
            log.error("%s", UnknownJob(job.kind), extra=fields("job.unknown", job))
        return runner

    # --- claiming -----------------------------------------------------------------------------------------

    async def _take(self, chosen: Sequence[tuple[Job, Runner]], group: asyncio.TaskGroup) -> bool:
        """Claim and run these; was any of them put to rest?"""
        rested = False
        for job, runner in chosen:
            if self._waits.ended:
                break
            try:
                attempt = await self._claim(job, runner)
            except NOT_NOW:
                raise
            except Exception:
                log.exception("job cannot be started, nor failed", extra=fields("job.stuck", job))
                self._resting[job.id] = self._clock() + REST_MS
                rested = True
            else:
                if attempt is not None:
                    self._attempts[job.id] = attempt
                    self._turns += 1
                    self._served[owner_of(job)] = self._turns
                    group.create_task(self._carry_out(attempt), name=f"{job.kind} {job.id}")
        return rested

    async def _claim(self, job: Job, runner: Runner) -> Attempt | None:
        jitter = self._random()
        try:
            found, _ = await honoured(
                self._database.transact(lambda db: start(db, job.id, runner, self._worker, self._clock(), jitter))
            )
        except NOT_NOW:
            raise
        except Exception:
            log.exception("job cannot be started", extra=fields("job.broken", job))
            await honoured(
                self._database.transact(
                    lambda db: fail_to_start(db, job.id, runner, self._worker, self._clock(), jitter)
                )
            )
            return None
        match found:
            case Job():
                return self._attempt(found, runner)
            case Lapsed(job=lapsed):
                self.tally.over(lapsed.kind, "lapsed")
                log.warning("a lease ended without a word", extra=fields("job.lapsed", lapsed))
        return None

    def _attempt(self, job: Job, runner: Runner) -> Attempt:
        self.tally.began(job.kind)
        log.info("job claimed", extra=fields("job.claimed", job))
        database, feed, clock, random = self._database, self._feed, self._clock, self._random
        lease = Lease(job, runner.spec.lease, database=database, feed=feed, clock=clock, random=random)
        attempt = Attempt(job, runner, lease, database=database, clock=clock, random=random)
        if self._stopping:
            attempt.stop()
        return attempt

    async def _carry_out(self, attempt: Attempt) -> None:
        ending: Ending = "dropped"
        began = self._clock()
        try:
            ending = await attempt.carry_out()
        except Exception:
            log.exception("job dropped: %r", attempt, extra=fields("job.dropped", attempt.job))
        finally:
            self.tally.over(attempt.job.kind, ending, self._clock() - began)
            del self._attempts[attempt.job.id]
            self._freed.set()
