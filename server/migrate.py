"""`python -m server migrate`: a database comes to this version, before its first process starts and after the last older one.

Invariant: one at a time, and whatever was begun can be begun again.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Final

from schema.errors import OutOfOrder, StoreUnavailable
from schema.migrations import LATEST, STEPS, Step, beyond, following, lacking
from schema.tables import TABLES
from schema.values import Millis
from server.config import ConfigurationError
from server.store.alone import Occupied, alone
from server.store.migrating import MendingRefused, Migrations
from server.store.mongo import MongoStore
from server.store.pulse import SILENT_FOR, living
from server.store.rights import as_far_as_allowed
from server.store.setup import Drift, missing_from, set_up

Say = Callable[[str], None]

PATIENCE_S: Final = 30.0
"""How long a process that brings up its own database waits for another that does the same."""
FINISHED_BY_NEWER: Final = (
    "A newer version has finished with this database (step {}); "
    "this one cannot run on it any more. Start the newer one."
)
AFTER: Final = "Run python -m server migrate --post when no older process runs."


def holder() -> str:
    """Who migrates, for others to read."""
    return f"{socket.gethostname()}-{os.getpid()}"


async def bring_up(store: MongoStore, migrations: Migrations) -> None:
    """Everything at once, for a database that nobody else uses: a new one, one of development, one that is imported into."""
    await set_up(store.database)
    if {step.number for step in STEPS} <= set(await migrations.taken()):
        return
    async with alone(migrations.notes, holder(), wait_s=PATIENCE_S):
        taken = await migrations.taken()
        for step in STEPS:
            if step.number not in taken:
                await migrations.mend(store.database, step, lambda _: None)


async def check(store: MongoStore, migrations: Migrations) -> None:
    """May a process of this version run on this database? Raises `ConfigurationError` where it may not."""
    if missing := await missing_from(store.database):
        raise ConfigurationError(
            f"The database lacks {missing[0]} and {len(missing) - 1} more. Run python -m server migrate first."
        )
    taken = await migrations.taken()
    if steps := lacking(STEPS, taken):
        raise ConfigurationError(f"The database lacks {steps[0]}. Run python -m server migrate first.")
    if newer := beyond(STEPS, taken, "post"):
        raise ConfigurationError(FINISHED_BY_NEWER.format(newer[-1]))


class Migration:
    """One run of the command on one database."""

    def __init__(self, store: MongoStore, migrations: Migrations, *, say: Say, clock: Callable[[], Millis]) -> None:
        self._store, self._migrations, self._say, self._clock = store, migrations, say, clock
        self._silent, self._drift = True, list[Drift]()

    def __repr__(self) -> str:
        return f"<Migration of {self._store!r}>"

    async def run(self, *, post: bool) -> None:
        """The part before new processes start, or the one after. Raises `ConfigurationError` with what is to be done."""
        try:
            with as_far_as_allowed():
                await self._run(post=post)
        except (OutOfOrder, Occupied, MendingRefused) as error:
            hint = AFTER if isinstance(error, OutOfOrder) and not post else ""
            raise ConfigurationError(f"{error} {hint}".strip()) from None
        except StoreUnavailable:
            raise ConfigurationError("The database does not answer. What was done is kept: run this again.") from None
        if self._silent:
            self._say("nothing to do")
        for drift in self._drift:
            self._say(f"drift: {drift}")

    async def _run(self, *, post: bool) -> None:
        async with alone(self._migrations.notes, holder()):
            await (self._after() if post else self._before())

    async def _before(self) -> None:
        taken = await self._migrations.taken()
        names = set(await self._store.database.list_collection_names())
        if not taken and names.isdisjoint(TABLES):
            await self._set_up(beside_others=False)
            await self._migrations.note(*STEPS)
            return
        if newer := beyond(STEPS, taken, "post"):
            raise ConfigurationError(FINISHED_BY_NEWER.format(newer[-1]))
        if newer := beyond(STEPS, taken, "pre"):
            self._tell(f"a newer version has migrated this database (step {newer[-1]}); it is left as it is")
            return
        ready = following(STEPS, taken, "pre")
        await self._set_up(beside_others=True)
        await self._take(ready)
        taken = await self._migrations.taken()
        following(STEPS, taken, "pre")
        for step in STEPS:
            if step.number not in taken:
                self._tell(f"{step} is left for python -m server migrate --post, when no older process runs")

    async def _after(self) -> None:
        taken = await self._migrations.taken()
        if newer := [*beyond(STEPS, taken, "pre"), *beyond(STEPS, taken, "post")]:
            raise ConfigurationError(
                f"A newer version migrates this database (step {newer[-1]}); run its own migrate --post."
            )
        ready = following(STEPS, taken, "post")
        old = [name for name, step in (await living(self._store, self._clock())).items() if step < LATEST]
        if old:
            raise ConfigurationError(
                f"{', '.join(sorted(old))} of an older version still runs, or did until a moment ago. "
                f"Stop it, or wait {SILENT_FOR / 1_000:.0f} seconds where it was killed, and run this again."
            )
        await self._take(ready)
        if {step.number for step in STEPS} <= set(await self._migrations.taken()):
            await self._set_up(beside_others=False)

    async def _set_up(self, *, beside_others: bool) -> None:
        report = await set_up(self._store.database, beside_others=beside_others)
        for line in report.done:
            self._tell(line)
        self._drift = list(report.drift)

    async def _take(self, steps: list[Step]) -> None:
        for step in steps:
            changed: list[int] = []
            await self._migrations.mend(self._store.database, step, changed.append)
            documents = f": {sum(changed)} documents changed" if step.mendings else ""
            self._tell(f"{step} is done{documents}")

    def _tell(self, line: str) -> None:
        self._silent = False
        self._say(line)
