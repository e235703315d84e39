"""What can go wrong with a job.

JobError
├── LeaseLost   the job is no longer leased to whoever acts on it; nothing they say about it counts
├── Stopped     this process stops before the attempt is done; the job is handed back
├── UnknownJob  no runner here knows this kind of work; another process may
└── WrongStep   a job was driven in a way that its states do not allow: our own bug
"""

from __future__ import annotations

from typing import ClassVar, Literal

from schema.system import JobState


class JobError(Exception):
    """Root of this folder's errors. None of them is ever shown to a client."""

    code: ClassVar[str] = "InternalServerError"
    blame: ClassVar[Literal["caller", "us", "provider"]] = "us"
    retryable: ClassVar[bool] = False


class LeaseLost(JobError):
    """The job is no longer leased to whoever acts on it."""

    def __init__(self, job_id: str, attempt: int) -> None:
        super().__init__(f"Attempt {attempt} no longer holds the job {job_id}.")
        self.job_id, self.attempt = job_id, attempt


class Stopped(JobError):
    """This process stops before the attempt is done."""

    retryable = True

    def __init__(self, job_id: str, attempt: int) -> None:
        super().__init__(f"Attempt {attempt} at the job {job_id} was stopped before it was done.")
        self.job_id, self.attempt = job_id, attempt


class UnknownJob(JobError):
    """No runner here knows this kind of work."""

    retryable = True

    def __init__(self, kind: str) -> None:
        super().__init__(f"Nothing here runs jobs of the kind {kind!r}; they are left to other workers.")
        self.kind = kind


class WrongStep(JobError):
    """A job was driven in a way that its states do not allow."""

    def __init__(self, state: JobState, event: str) -> None:
        super().__init__(f"A job that is {state} cannot {event.replace('_', ' ')}.")
        self.state, self.event = state, event
