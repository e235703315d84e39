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
    """The application refused. `code` is one of the contract's; `more` holds what some codes add, such as `retryAfterMs`."""

    def __init__(self, code: str, message: str, more: Mapping[str, float | str]) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.more = code, message, more


class ServerError(CallFailed):
    """Something unexpected, or a function or an argument that the server does not know."""


class LineClosed(CallFailed):
    """Nobody answers any more."""


class _Told(msgspec.Struct):
    """An error's data: the application's own, or that of a page position which cannot be used."""

    code: str = ""
    message: str = ""
    pagination_error: str = msgspec.field(default="", name="paginationError")


def error_of(trouble: Trouble) -> CallFailed:
    """The failure as its caller catches it."""
    if trouble.data is None:
        return ServerError(trouble.message)
    told = msgspec.json.decode(trouble.data, type=_Told)
    code = told.code or told.pagination_error
    if not code:
        return ServerError(trouble.message)
    all_of_it = msgspec.json.decode(trouble.data, type=dict[str, bool | float | str])
    more = {name: value for name, value in all_of_it.items() if name not in ("code", "message")}
    return ConvexError(code, told.message or trouble.message, more)
