"""What can go wrong between a client and its answers.

SubscriptionError
├── ProtocolError
│   ├── RemoteProtocolError   the peer broke the protocol; the socket ends with this sentence
│   │   └── VersionMismatch   it builds on a version that is not the one held
│   └── LocalProtocolError    we drove a machine in a way it does not allow: our own bug
├── LogGap                    the log no longer reaches back to a timestamp
└── TooMany                   more is asked for than may be; the socket is closed with 1013
"""

from __future__ import annotations

from typing import ClassVar, Literal

from schema.values import Timestamp


class SubscriptionError(Exception):
    """Root of this folder's errors."""

    code: ClassVar[str] = "InternalServerError"
    blame: ClassVar[Literal["caller", "us", "provider"]] = "us"
    retryable: ClassVar[bool] = False


class ProtocolError(SubscriptionError):
    """A step that the protocol does not allow."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol. Fatal for the socket; the peer reads the sentence."""

    code = "BadClientMessage"
    blame = "caller"

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class VersionMismatch(RemoteProtocolError):
    """The peer builds on a version of something that is not the version held here."""

    code = "BaseVersionMismatch"

    def __init__(self, what: str, *, held: object, offered: object) -> None:
        super().__init__(f"BaseVersionMismatch: the {what} is at {held}, not at {offered}.")
        self.what, self.held, self.offered = what, held, offered


class LocalProtocolError(ProtocolError):
    """We drove a machine in a way it does not allow. Never the peer's fault, never shown to it."""


def invariant(holds: bool, sentence: str) -> None:
    """Raise unless it holds: a machine looking at itself."""
    if not holds:
        raise LocalProtocolError(f"Broken invariant: {sentence}.")


class LogGap(SubscriptionError):
    """The log no longer reaches back to a timestamp: what changed since then is unknown."""

    retryable = True

    def __init__(self, since: Timestamp, oldest: Timestamp) -> None:
        super().__init__(f"The log begins at {oldest} and says nothing about what happened after {since}.")
        self.since, self.oldest = since, oldest


class TooMany(SubscriptionError):
    """A socket or its owner asks for more than it may. `short` becomes the close reason and chooses the client's backoff."""

    blame = "caller"
    retryable = True

    def __init__(self, short: str, limit: int | None = None) -> None:
        super().__init__(short if limit is None else f"{short}: at most {limit} on one socket.")
        self.short, self.limit = short, limit
