"""How an attempt at a job ended: five outcomes, and nothing that is none of them. Reasons are sentences for people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

from schema.values import Millis
from schema.writer import Writer


class Done(msgspec.Struct, frozen=True):
    """It worked. `commit` writes the result in the transaction that settles the job; it runs again after a conflict."""

    commit: Callable[[Writer], Awaitable[None]]


class Refused(msgspec.Struct, frozen=True):
    """It was understood and will never be done: asking again would be refused again."""

    reason: str


class Transient(msgspec.Struct, frozen=True):
    """The same may work later, and not before `retry_after` has passed."""

    reason: str
    retry_after: Millis | None = None


class Broken(msgspec.Struct, frozen=True):
    """Something of ours failed in a way we did not foresee."""

    reason: str


class Later(msgspec.Struct, frozen=True):
    """The work was not begun, because it could not have worked before `at_or_after`: the attempt counts for nothing."""

    at_or_after: Millis
    reason: str


Outcome: TypeAlias = Done | Refused | Transient | Broken | Later

INTERRUPTED: Final = Broken("The work was interrupted.")
"""What is left of an attempt whose lease ended: nobody came back to say how it went."""
TOO_SLOW: Final = Transient("The work took too long.")
SOMETHING_WRONG: Final = Broken("Something went wrong on our side.")
