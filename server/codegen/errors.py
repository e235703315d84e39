"""What can go wrong for a program that calls the server through its generated client.

CallFailed
├── ConvexError   the application refused, with a stable code and a sentence for people
├── ServerError   nothing was meant to fail; the sentence names the request in the server's log
└── LineClosed    nobody answers any more: the client was closed, or signed in with a token that no longer counts
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from subscriptions.events import Trouble


class CallFailed(Exception):
    """Root of what calls raise."""


class ConvexError(CallFailed):
    """The application refused. `code` is one of the contract's; `more` is what some codes add, such as `field` or `reason`."""

    def __init__(self, code: str, message: str, more: Mapping[str, object]) -> None:
        super().__init__(message if message.startswith(code) else f"{code}: {message}")
        self.code, self.message, self.more = code, message, more

    @property
    def retry_after_ms(self) -> float | None:
        """How long to wait before asking again, where that is all that is missing."""
        told = self.more.get("retryAfterMs")
        return told if isinstance(told, float) else None


class ServerError(CallFailed):
    """Something unexpected, or a function or an argument that the server does not know."""


class LineClosed(CallFailed):
    """Nobody answers any more."""


def error_of(trouble: Trouble) -> CallFailed:
    """The failure as its caller catches it."""
    data = None if trouble.data is None else msgspec.json.decode(trouble.data)
    if not isinstance(data, dict):
        return ServerError(trouble.message)
    code = data.get("code") or data.get("paginationError")
    if not isinstance(code, str):
        return ServerError(trouble.message)
    more = {name: value for name, value in data.items() if name not in ("code", "message")}
    return ConvexError(code, str(data.get("message", trouble.message)), more)
