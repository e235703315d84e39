"""Tables that the product's functions rest on: jobs, receipts, pulses and vitals of processes, secrets."""

from __future__ import annotations

from typing import Literal, TypeAlias

from schema.document import NEW, Document, index, table
from schema.values import Id, Millis

JobState: TypeAlias = Literal["queued", "leased", "succeeded", "dead", "cancelled"]
Role: TypeAlias = Literal["web", "worker", "web and worker"]


@table("jobs")
class Job(Document, frozen=True, kw_only=True):
    """Durable work. `attempt` is the fencing token: only the holder of the latest attempt may settle.

    `due_at` is the next moment at which a worker should look: when to start, or when the lease ends.
    `subject` names the document that the work is about, `owner` the member for whom it is done, `arguments` is JSON.
    """

    id: Id[Job] = NEW
    kind: str
    subject: str
    arguments: str
    state: JobState
    attempt: int
    max_attempts: int
    due_at: Millis
    created_at: Millis
    owner: str | None = None
    worker: str | None = None
    reason: str | None = None
    settled_at: Millis | None = None

    by_state_and_due = index("state", "due_at")
    by_subject = index("subject", "created_at")


@table("receipts", expires_by="expires_at")
class Receipt(Document, frozen=True, kw_only=True):
    """The stored result of a client's numbered mutation: a resent request is answered, not run again.

    The id is `session:request`. `caller` is who asked: nobody else may read the result. `value` is encoded JSON.
    """

    id: Id[Receipt] = NEW
    caller: str
    value: str
    expires_at: Millis


@table("pulses", expires_by="expires_at")
class Pulse(Document, frozen=True, kw_only=True):
    """A process's own heartbeat, written so that it comes back through the change feed and moves the log's position.

    `step` is the last migration that the process knows of.
    """

    id: Id[Pulse] = NEW
    beat: int
    expires_at: Millis
    step: int | None = None


@table("vitals", expires_by="expires_at")
class Vitals(Document, frozen=True, kw_only=True):
    """How a process was when it last said so. Written beside its pulse, so that who shows processes is not told of each beat."""

    id: Id[Vitals] = NEW
    role: Role
    version: str
    started_at: Millis
    seen_at: Millis
    sockets: int
    live_queries: int
    answers: int
    jobs_running: int
    feed_lag: Millis
    push_p50: Millis | None = None
    push_p99: Millis | None = None
    resident_bytes: int | None = None
    expires_at: Millis

    by_seen = index("seen_at")


@table("secrets")
class Secret(Document, frozen=True, kw_only=True):
    """A random key made at first start and shared by all processes, as hexadecimal text."""

    id: Id[Secret] = NEW
    key: str
