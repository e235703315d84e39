"""The seams of a socket's worker: the line to the client on one side, the product behind it on the other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from schema.values import Millis
from subscriptions.effects import Failed, Returned, RunAction, RunMutation, Succeeded, Undecided
from subscriptions.errors import TooMany
from subscriptions.push import Push

C = TypeVar("C")
L = TypeVar("L")


class Line(Protocol):
    """The way to one client."""

    def write(self, push: Push) -> bool:
        """Write a whole frame now; false when the line is full, and nothing was written."""
        ...

    @property
    def writable(self) -> bool:
        """Would a frame be taken now?"""
        ...

    def notify(self, drained: Callable[[], None], filled: Callable[[], None]) -> None:
        """Call `filled` each time the line begins to take nothing, also at its end; `drained` when it takes frames again."""
        ...

    @property
    def kind(self) -> Hashable | None:
        """Lines of one kind take frames of one form and can be written to in a row; None where that is not to be had."""
        ...

    def row(self) -> Row[Any]:
        """An empty row for lines of this kind."""
        ...

    def abort(self) -> None:
        """Cut the line: whatever is still in it is lost."""
        ...


class Row(Protocol[L]):
    """Lines of one kind in a row, all of which take frames: one message to many of them without a look at each."""

    def append(self, line: L) -> None:
        """Add a line at the end."""
        ...

    def swap(self, one: int, other: int) -> None:
        """Let two lines change places."""
        ...

    def pop(self) -> L:
        """Take out the last line."""
        ...

    def write(self, push: Push, start: int, stop: int) -> Sequence[Callable[[], None]]:
        """Write a frame to the lines from `start` to before `stop`.

        Returns what is to be called for each line that did not take all of it: the rest then waits in that line, which is full
        and says so.
        """
        ...


class Verified(msgspec.Struct, Generic[C], frozen=True):
    """Whose token it is, and until when."""

    caller: C
    expires_at: Millis | None


class Rejected(msgspec.Struct, frozen=True):
    """The token is refused, in a sentence for the developer."""

    sentence: str


class Calls(Protocol[C]):
    """What the product does for a socket. None of these raises."""

    async def verify(self, token: str) -> Verified[C] | Rejected | TooMany:
        """Find out whom the token belongs to."""
        ...

    async def mutate(self, mutation: RunMutation[C], committing: Callable[[], None]) -> Succeeded | Failed | Undecided:
        """Run a mutation; `committing` is called once, before the first commit is sent."""
        ...

    async def act(self, action: RunAction[C]) -> Returned | Failed:
        """Run an action."""
        ...


class Socket(Protocol):
    """One client's WebSocket: frames come in by asking and go out by its line."""

    @property
    def line(self) -> Line:
        """The way out."""
        ...

    async def receive(self) -> str | bytes | None:
        """The next frame; None once the client is gone."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Say good-bye."""
        ...
