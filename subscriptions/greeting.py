"""What a client said of itself when it opened the socket. Some never do, and are served all the same.

Invariant: without a `Connect` there is no session, no skew, nothing observed, and no hold on the first transition.
"""

from __future__ import annotations

from schema.values import ZERO, Millis, Timestamp, seconds
from subscriptions.protocol import Connect

HOLD_FIRST_S = 1
CLOCK_LEAD_S = 60


class Greeting:
    """The session, the client's clock, and what follows from an earlier socket of the same client."""

    __slots__ = ("hold_until", "is_first", "observed", "session_id", "skew")

    def __init__(self) -> None:
        self.session_id: str | None = None
        self.is_first = False
        self.skew: int | None = None
        self.observed: Timestamp = ZERO
        self.hold_until: Millis | None = None

    def __repr__(self) -> str:
        return f"<Greeting session {self.session_id}, observed {self.observed}, hold until {self.hold_until}>"

    def hear(self, message: Connect, now: Millis) -> None:
        """Take the message in."""
        self.session_id = message.session_id
        self.skew = None if message.client_ts is None else round(message.client_ts - now)
        self.observed = max(self.observed, message.max_observed or ZERO)
        self.is_first = message.connection_count == 0
        if not self.is_first:
            self.hold_until = now + seconds(HOLD_FIRST_S)  # an empty first transition would blank every screen (0.4)

    def let_go(self, now: Millis) -> None:
        """Hold no longer than was promised."""
        if self.hold_until is not None and now >= self.hold_until:
            self.hold_until = None


def absurd(ts: Timestamp, now: Millis) -> bool:
    """Does `ts` lie further ahead than clocks drift apart? Then it was never of our making (4.5)."""
    return seconds(ts >> 32) > now + seconds(CLOCK_LEAD_S)
