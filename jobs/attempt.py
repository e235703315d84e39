"""One attempt at a job: run under its deadline and its lease, then settled in one transaction.

Invariant: an attempt ends in exactly one way: settled, handed back, or dropped because the lease is somebody else's or
over. Being cancelled from outside settles nothing: the lease runs out, and the next worker decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from jobs.cancellation import honoured
from jobs.errors import LeaseLost, Stopped
from jobs.lease import Lease
from jobs.outcome import SOMETHING_WRONG, TOO_SLOW, Later, Outcome
from jobs.patience import NOT_NOW, Patience
from jobs.policy import Decision
from jobs.runner import Runner
from jobs.seams import Chance, Clock, Transact
from jobs.tally import Ending, ending_of
from jobs.transactions import conclude, give_back
from schema.system import Job
from schema.values import Millis, seconds
from schema.writer import Writer

T = TypeVar("T")

PUT_OFF_MS: Millis = seconds(3)
DATABASE_AWAY = "The database did not answer for a moment."

log = logging.getLogger("anime.jobs")


class Attempt:
    """A job leased to this process, from its claim to its end."""

    __slots__ = ("_clock", "_database", "_lease", "_phase", "_random", "_runner", "_stop", "job")

    def __init__(
        self, job: Job, runner: Runner, lease: Lease, *, database: Transact, clock: Clock, random: Chance
    ) -> None:
        self.job, self._runner, self._lease = job, runner, lease
        self._database, self._clock, self._random = database, clock, random
        self._stop = asyncio.Event()
        self._phase = "running"

    def __repr__(self) -> str:
        return f"<Attempt {self.job.attempt} at {self.job.kind} {self.job.id}, {self._phase}>"

    def stop(self) -> None:
        """End the work if it is not done, and hand the job back."""
        self._stop.set()

    async def carry_out(self) -> Ending:
        """Do the work and settle it. Raises nothing but what nobody foresaw, and then the lease is left to run out."""
        try:
            outcome = await self._under_lease()
            self._phase = "settling"
            decision = await self._settle(outcome)
            log.info("job settled: %s", decision, extra=fields("job.settled", self.job))
            return ending_of(decision)
        except Stopped:
            self._phase = "handing back"
            return await self._hand_back()
        except LeaseLost as lost:
            log.warning("%s", lost, extra=fields("job.lost", self.job))
            return "lost"

    async def _under_lease(self) -> Outcome:
        """The work's outcome. Raises `LeaseLost` and `Stopped`, after the work was cancelled."""
        lease = self._lease
        outcomes: list[Outcome] = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(lease.keep())
                group.create_task(lease.watch())
                stopping = group.create_task(self._stopped())
                outcomes.append(await self._work())
                lease.release()
                stopping.cancel()
        except ExceptionGroup as ended:
            if not outcomes:
                raise ended.exceptions[0] from None
        return outcomes[0]

    async def _stopped(self) -> None:
        await self._stop.wait()
        raise Stopped(self.job.id, self.job.attempt)

    async def _work(self) -> Outcome:
        try:
            async with asyncio.timeout(self._runner.spec.deadline / 1_000) as deadline:
                return await self._runner.run(self.job)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            log.exception("job cancelled itself", extra=fields("job.broken", self.job))
        except NOT_NOW as error:
            # The database was away, which is no fault of this work: it is tried again, and nothing is counted.
            log.warning("job put off: %s", type(error).__name__, extra=fields("job.put_off", self.job))
            return Later(self._clock() + PUT_OFF_MS, DATABASE_AWAY)
        except Exception:
            if deadline.expired():
                return TOO_SLOW
            log.exception("job broke", extra=fields("job.broken", self.job))
        return SOMETHING_WRONG

    async def _settle(self, outcome: Outcome) -> Decision:
        """Settle by the outcome; if that cannot be written, the attempt was broken after all. Raises `LeaseLost`."""
        try:
            return await self._finish(self._conclusion(outcome))
        except LeaseLost:
            raise
        except Exception:
            log.exception("job could not be settled", extra=fields("job.broken", self.job))
            return await self._finish(self._conclusion(SOMETHING_WRONG))

    async def _hand_back(self) -> Ending:
        await self._finish(lambda db: give_back(db, self.job, self._runner, self._clock()))
        log.info("job handed back", extra=fields("job.handed_back", self.job))
        return "handed_back"

    def _conclusion(self, outcome: Outcome) -> Callable[[Writer], Awaitable[Decision]]:
        jitter = self._random()
        return lambda db: conclude(db, self.job, self._runner, outcome, self._clock(), jitter)

    async def _finish(self, work: Callable[[Writer], Awaitable[T]]) -> T:
        """Write the attempt's end, again while the database is away, until the lease is over. Raises `LeaseLost`."""
        patience = Patience(self._random)
        while True:
            try:
                result, _ = await honoured(self._database.transact(work))
            except NOT_NOW as error:
                if self._lease.is_over:
                    raise self._lease.lost() from error
                log.warning("job not settled yet: %s", type(error).__name__, extra=fields("job.settle_again", self.job))
                await patience.pause()
            else:
                return result


def fields(action: str, job: Job) -> dict[str, object]:
    """What every line about a job carries besides its sentence."""
    return {"action": action, "job": job.id, "kind": job.kind, "attempt": job.attempt}
