"""Who is on the other end of a socket, by which version of the client's count, and until when.

Invariant: the version grows by one with every accepted `Authenticate`, whoever it names.
"""

from __future__ import annotations

from typing import Generic

from schema.values import Millis
from subscriptions.effects import C
from subscriptions.errors import VersionMismatch


class Identity(Generic[C]):
    """The caller in force."""

    __slots__ = ("_anonymous", "caller", "expires_at", "version")

    def __init__(self, anonymous: C) -> None:
        self._anonymous = self.caller = anonymous
        self.expires_at: Millis | None = None
        self.version = 0

    def __repr__(self) -> str:
        return f"<Identity v{self.version} until {self.expires_at}>"

    def check_base(self, offered: int) -> None:
        """Raise unless the client builds on the version in force."""
        if offered != self.version:
            raise VersionMismatch("identity", held=self.version, offered=offered)

    def become(self, caller: C, expires_at: Millis | None) -> bool:
        """Act for `caller` from here on; is that another person than before?"""
        changed = caller != self.caller
        self.caller, self.expires_at = caller, expires_at
        self.version += 1
        return changed

    def leave(self) -> bool:
        """Act for nobody in particular from here on; was that different before?"""
        return self.become(self._anonymous, None)

    def lapsed(self, now: Millis) -> bool:
        """Has the token run out?"""
        return self.expires_at is not None and now >= self.expires_at
