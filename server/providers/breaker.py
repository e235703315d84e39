"""A circuit breaker: stops calling a provider that fails, and asks with one call now and then whether it works again.

Invariant: what a call reports counts only if the breaker has not changed its state since that call was let through, so
late reports of an outage neither prolong nor end it; while half open, exactly one call is under way. It never waits and
has no clock: every moment is an argument.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from schema.values import Millis, minutes, seconds

MAX_FAILURES = 5
"""In a row, by whatever calls."""
FIRST_OPEN_MS: Millis = seconds(15)
MAX_OPEN_MS: Millis = minutes(5)
MAX_ASKED_MS: Millis = minutes(15)
"""A provider may ask for a longer pause than ours, but not for any."""
PROBE_MS: Millis = seconds(10)
"""When to ask again while the one call of a half-open breaker is under way."""

State: TypeAlias = Literal["closed", "open", "half-open"]
Event: TypeAlias = Literal["trip", "probe", "recover", "abandon"]

STEPS: Final[dict[tuple[State, Event], State]] = {
    ("closed", "trip"): "open",
    ("open", "probe"): "half-open",
    ("half-open", "recover"): "closed",
    ("half-open", "trip"): "open",
    ("half-open", "abandon"): "open",
}


class Pass(msgspec.Struct, frozen=True):
    """A call may be made; it must report how it went, or that it was abandoned."""

    turn: int


class Wait(msgspec.Struct, frozen=True):
    """No call may be made before `until`."""

    until: Millis


class Breaker:
    """Whether to call one provider."""

    __slots__ = ("_failures", "_openings", "_state", "_turn", "_until")

    def __init__(self) -> None:
        self._state: State = "closed"
        self._turn = 0
        self._failures = 0
        self._openings = 0
        self._until: Millis = 0.0

    def __repr__(self) -> str:
        told = {"closed": f"{self._failures} failures", "open": f"until {self._until:.0f}", "half-open": "probing"}
        return f"<Breaker {self._state}, {told[self._state]}>"

    @property
    def state(self) -> State:
        """Closed lets everything through, open nothing, half-open one call."""
        return self._state

    @property
    def until(self) -> Millis:
        """When an open breaker lets the next call through."""
        return self._until

    def ask(self, now: Millis) -> Pass | Wait:
        """May a call be made?"""
        if self._state == "half-open":
            return Wait(now + PROBE_MS)
        if self._state == "open":
            if now < self._until:
                return Wait(self._until)
            self._move("probe")
        return Pass(self._turn)

    def well(self, call: Pass) -> None:
        """The provider answered as it should."""
        if not self._counts(call):
            return
        self._failures = self._openings = 0
        if self._state == "half-open":
            self._move("recover")

    def ailing(self, call: Pass, now: Millis) -> None:
        """The provider failed; enough of that in a row, or once while half open, opens."""
        if not self._counts(call):
            return
        self._failures += 1
        if self._state == "half-open" or self._failures >= MAX_FAILURES:
            self._open(now, 0.0)

    def down(self, call: Pass, now: Millis, asked: Millis = 0.0) -> None:
        """One report is enough: nobody's call will work, for at least as long as the provider `asked` for."""
        if self._counts(call):
            self._open(now, min(asked, MAX_ASKED_MS))

    def abandon(self, call: Pass) -> None:
        """The call ended without telling anything; if it was the one of a half-open breaker, the next may be."""
        if self._counts(call) and self._state == "half-open":
            self._move("abandon")

    def _counts(self, call: Pass) -> bool:
        return call.turn == self._turn

    def _open(self, now: Millis, asked: Millis) -> None:
        pause = min(MAX_OPEN_MS, FIRST_OPEN_MS * 2.0 ** min(self._openings, 16))
        self._until = now + max(pause, asked)
        self._openings += 1
        self._move("trip")

    def _move(self, event: Event) -> None:
        self._state = STEPS[self._state, event]
        self._turn += 1
