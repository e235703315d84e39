"""A worker: the runners of every kind of job, the loop that gives them slots, and the ticker of what recurs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from jobs.loop import JobLoop
from jobs.outcome import Outcome
from jobs.runner import Runner
from jobs.seams import Chance, Feed
from jobs.ticker import Ticker
from schema.system import Job
from schema.values import Millis, seconds
from server.config import Settings
from server.database import Database
from server.functions.auditing import Auditor
from server.functions.checkout import CreateCheckout, Shop
from server.functions.chores import Chore
from server.functions.erasure import Eraser
from server.functions.generation import GenerateImage
from server.functions.reconciling import ReconcileOrders, Reconciler
from server.functions.sweeping import Sweeper
from server.logs import About
from server.pictures.lab import PhotoLab
from server.providers.pictures import LocalStylizer, PictureMaker
from server.providers.polar import open_polar, product_of
from server.providers.prompt import load_prompt
from server.store.gridfs import BlobVault
from server.work import (
    AUDIT_LEDGER,
    ERASE_FILE,
    ERASE_MEMBER,
    PRUNE_JOBS,
    RECONCILE_ORDERS,
    RECURRING,
    SWEEP_FILES,
)

DRAIN_GRACE_S = 20.0
DRAWING_SHARE = 0.75
"""Of an attempt's time the drawing itself may take so much; the rest is for reading, storing and settling."""


class Named:
    """A runner, and on every line that is logged while it runs, which job it runs."""

    def __init__(self, runner: Runner) -> None:
        self.spec = runner.spec
        self._runner, self.begin, self.retry, self.give_up = runner, runner.begin, runner.retry, runner.give_up

    def __repr__(self) -> str:
        return f"<Named {self._runner!r}>"

    async def run(self, job: Job) -> Outcome:
        """Do the work."""
        with About(job=job.id, kind=job.kind, attempt=job.attempt, user=job.owner):
            return await self._runner.run(job)


class Worker:
    """Everything that a process needs to do jobs."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        feed: Feed,
        *,
        vault: BlobVault,
        lab: PhotoLab,
        name: str,
        clock: Callable[[], Millis],
        random: Chance,
    ) -> None:
        self.auditor, self.pictures = Auditor(database), picture_maker(settings, lab, clock)
        self.polar = open_polar(settings)
        shop = Shop(product_of(settings), settings.public_url)
        reconciler = Reconciler(database, self.polar, product_id=settings.polar_product_id, clock=clock)
        sweeper = Sweeper(database, vault)
        deadline, lease = seconds(settings.generation_timeout_s), seconds(settings.generation_lease_s)
        runners: list[Runner] = [
            GenerateImage(database, vault, self.pictures, deadline=deadline, lease=lease),
            CreateCheckout(database, self.polar, shop),
            ReconcileOrders(RECONCILE_ORDERS, reconciler, is_optional=settings.polar_access_token is None),
            Chore(ERASE_FILE, sweeper.erase),
            Chore(ERASE_MEMBER, Eraser(database).erase),
            Chore(SWEEP_FILES, sweeper.sweep),
            Chore(AUDIT_LEDGER, self.auditor.audit),
            Chore(PRUNE_JOBS, self.auditor.prune),
        ]
        self.loop = JobLoop(
            database,
            feed,
            {runner.spec.kind: Named(runner) for runner in runners},
            worker=name,
            concurrency=settings.generation_concurrency,
            clock=clock,
            random=random,
        )
        self.ticker = Ticker(database, RECURRING, clock=clock, random=random)

    def __repr__(self) -> str:
        return f"<Worker {self.loop!r}>"

    def metrics(self) -> Mapping[str, float]:
        """What this worker counts."""
        tally = self.loop.tally
        ended = tally.ended.items()
        return {
            "anime_ledger_audits_total": self.auditor.audits,
            **{f'anime_jobs_attempts_total{{kind="{kind}"}}': count for kind, count in tally.attempts.items()},
            **{f'anime_jobs_attempts_ended_total{{kind="{kind}",outcome="{how}"}}': n for (kind, how), n in ended},
            **{f'anime_jobs_attempts_seconds_total{{kind="{kind}"}}': n / 1_000 for kind, n in tally.spent.items()},
            **self.pictures.metrics(),
        }

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Work for as long as this context; what runs at its end is finished or handed back."""
        try:
            async with asyncio.TaskGroup() as group:
                ticking = group.create_task(self.ticker.run(), name="ticker")
                looping = group.create_task(self.loop.run(), name="job loop")
                try:
                    yield
                finally:
                    ticking.cancel()
                    await self.loop.drain(DRAIN_GRACE_S)
                    looping.cancel()
        finally:
            await self.pictures.aclose()
            await self.polar.aclose()


def picture_maker(settings: Settings, lab: PhotoLab, clock: Callable[[], Millis]) -> PictureMaker:
    """Who draws: Gemini where a key is set, this machine otherwise."""
    if settings.gemini_api_key is None:
        return LocalStylizer(lab)
    from server.providers.gemini import open_gemini  # half a second and 50 MB, only for processes that draw

    return open_gemini(
        lab,
        api_key=settings.gemini_api_key,
        model=settings.gemini_model,
        base_url=settings.gemini_base_url,
        prompt=load_prompt(),
        deadline_s=DRAWING_SHARE * settings.generation_timeout_s,
        clock=clock,
    )
