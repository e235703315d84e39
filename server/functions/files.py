"""Erasing files whose row is gone."""

from __future__ import annotations

from jobs.outcome import Done, Outcome
from jobs.queue import JobSpec
from schema.system import Job
from schema.writer import Writer
from server.store.gridfs import BlobVault
from server.work import ERASE_FILE


class EraseFile:
    """Runs `erase_file` jobs; a job's subject is the file's id, whose row was deleted in the transaction that asked."""

    spec: JobSpec = ERASE_FILE

    def __init__(self, vault: BlobVault) -> None:
        self._vault = vault

    def __repr__(self) -> str:
        return f"<EraseFile from {self._vault!r}>"

    async def begin(self, db: Writer, job: Job) -> None:
        """Nothing shows that it began."""

    async def run(self, job: Job) -> Outcome:
        """Delete the bytes; a second time does no harm."""
        await self._vault.delete(job.subject)
        return Done(_nothing_more)

    async def retry(self, db: Writer, job: Job, reason: str) -> None:
        """Nothing shows that it failed."""

    async def give_up(self, db: Writer, job: Job, reason: str) -> None:
        """The dead job is the record; nobody can reach the bytes without their row."""


async def _nothing_more(db: Writer) -> None:
    return None
