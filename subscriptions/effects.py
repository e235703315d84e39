"""What a `SyncMachine` asks its driver to do, and what the driver tells it in return.

Invariant: effects are carried out in the order in which they were returned.
"""

from __future__ import annotations

from typing import Generic, TypeAlias, TypeVar

import msgspec
from msgspec import Raw

from schema.values import Timestamp
from subscriptions.version import StateVersion

C = TypeVar("C")
"""Who is asking: opaque here, equal when it is the same person."""


class Send(msgspec.Struct, frozen=True):
    """Write one frame. `transition` marks the one (or the last part of one) that the outbox window counts."""

    frame: bytes
    transition: bool = False


class Verify(msgspec.Struct, frozen=True):
    """Find out whom the token belongs to; then call `authenticated` or `rejected`."""

    token: str


class RunMutation(msgspec.Struct, Generic[C], frozen=True):
    """Run a mutation as whoever asked for it; then call `mutation_done`. No session, no receipt.

    `is_new` when it cannot have been sent before: this is the session's first socket. A receipt need not be looked for.
    """

    request_id: int
    path: str
    args: Raw
    caller: C
    session_id: str | None
    is_new: bool = False


class RunAction(msgspec.Struct, Generic[C], frozen=True):
    """Run an action as whoever asked for it; then call `action_done`."""

    request_id: int
    path: str
    args: Raw
    caller: C
    session_id: str | None


class StaleQuery(msgspec.Struct, frozen=True):
    """A query to evaluate, with the journal that its answer must keep to."""

    query_id: int
    path: str
    args: Raw
    journal: str | None


class Refresh(msgspec.Struct, Generic[C], frozen=True):
    """Evaluate these queries for the caller at the version's timestamp; then call `complete` or `abandon`."""

    number: int
    version: StateVersion
    caller: C
    queries: tuple[StaleQuery, ...]
    removed: tuple[int, ...]

    @property
    def target(self) -> Timestamp:
        """The moment at which every answer must hold."""
        return self.version.ts


class Finish(msgspec.Struct, frozen=True):
    """End the socket. Draining lets the client close first; several clients lose their way if it may not."""

    code: int
    reason: str
    drain: bool


Effect: TypeAlias = Send | Verify | RunMutation[C] | RunAction[C] | Refresh[C] | Finish


class Value(msgspec.Struct, frozen=True):
    """A query's answer. The digest tells equal answers from different ones; the journal is not part of it."""

    value: Raw
    digest: bytes
    journal: str | None = None


class Failure(msgspec.Struct, frozen=True):
    """A query's error; `data` only if the application meant to show it."""

    message: str
    data: Raw | None
    digest: bytes
    journal: str | None = None


Result: TypeAlias = Value | Failure


class Succeeded(msgspec.Struct, frozen=True):
    """A mutation's value and the moment of its commit."""

    value: Raw
    ts: Timestamp


class Undecided(msgspec.Struct, frozen=True):
    """Nobody knows whether the mutation committed. No answer is the only true one: the client asks again, under its number."""


class Returned(msgspec.Struct, frozen=True):
    """An action's value."""

    value: Raw


class Failed(msgspec.Struct, frozen=True):
    """The error of a mutation or an action; nothing of the mutation remains."""

    message: str
    data: Raw | None = None
