"""What a `ClientMachine` tells those who use it.

Invariant: events come in the order in which they became true; `Advanced` is the last of its transition.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec import Raw

from subscriptions.version import StateVersion


class Trouble(msgspec.Struct, frozen=True):
    """Why there is no value; `data` only if the application meant to show it."""

    message: str
    data: Raw | None = None


class QueryChanged(msgspec.Struct, frozen=True):
    """A query has another answer than before."""

    query_id: int
    answer: Raw | Trouble


class Advanced(msgspec.Struct, frozen=True):
    """All answers held are true of this version now."""

    version: StateVersion


class MutationSettled(msgspec.Struct, frozen=True):
    """A mutation failed, or its effect is in the answers held."""

    request_id: int
    outcome: Raw | Trouble


class ActionSettled(msgspec.Struct, frozen=True):
    """An action ended, or nobody knows how it ended."""

    request_id: int
    outcome: Raw | Trouble


class AuthRejected(msgspec.Struct, frozen=True):
    """The token is of no use any more; connect again with another one, or none."""

    sentence: str


class Fatal(msgspec.Struct, frozen=True):
    """The server will not talk to us again like this."""

    sentence: str


ClientEvent: TypeAlias = QueryChanged | Advanced | MutationSettled | ActionSettled | AuthRejected | Fatal
