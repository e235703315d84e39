"""Who is leaving and who has left: the job that erases a member is also the mark that keeps them from being made anew."""

from __future__ import annotations

from jobs.queue import WAITING, enqueue, of_subject
from schema.reader import Reader
from schema.system import Job
from schema.writer import Writer
from server.work import ERASE_MEMBER


async def is_leaving(db: Reader, subject: str) -> bool:
    """Will this member be erased, or is it happening now?"""
    return any(job.state in WAITING for job in await _erasures(db, subject))


async def has_ever_left(db: Reader, subject: str) -> bool:
    """Was this member's erasure ever asked for, as far as jobs are remembered?"""
    return bool(await _erasures(db, subject))


async def begin(db: Writer, subject: str) -> None:
    """Have a member erased, once: a second erasure would take what they make after coming back."""
    if not await is_leaving(db, subject):
        await enqueue(db, ERASE_MEMBER, subject, owner=subject)


async def _erasures(db: Reader, subject: str) -> list[Job]:
    return [job for job in await of_subject(db, subject) if job.kind == ERASE_MEMBER.kind]
