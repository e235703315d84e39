"""Presence: how many processes there are and how many sockets they hold, from what each says of itself every few seconds.

Invariant: nothing is stored anywhere but here, and who has not been heard for a while is gone.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from schema.values import Millis, seconds

BEAT_S = 5.0
FORGOTTEN_AFTER: Millis = seconds(3 * BEAT_S)
MAX_PROCESSES = 1_000


class Beat(msgspec.Struct, frozen=True, array_like=True):
    """What a process says of itself. The number makes each different."""

    process: str
    sockets: int
    number: int


class Company(msgspec.Struct, frozen=True):
    """The fleet at one moment, as one process knows it: itself, and who was heard lately."""

    processes: int
    sockets: int


class Presence:
    """What this process says, and what it has heard of others."""

    __slots__ = ("_clock", "_heard", "_name", "_number", "_sockets")

    def __init__(self, name: str, sockets: Callable[[], int], clock: Callable[[], Millis]) -> None:
        self._name, self._sockets, self._clock = name, sockets, clock
        self._heard: dict[str, tuple[Millis, int]] = {}
        self._number = 0

    def __repr__(self) -> str:
        return f"<Presence {self.company()}>"

    def beat(self) -> bytes:
        """What to tell everybody now."""
        self._number += 1
        return msgspec.msgpack.encode(Beat(self._name, self._sockets(), self._number))

    def hear(self, content: bytes) -> None:
        """Somebody has told us. What cannot be read is nobody's."""
        try:
            beat = msgspec.msgpack.decode(content, type=Beat)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        if beat.process != self._name and (beat.process in self._heard or len(self._heard) < MAX_PROCESSES):
            self._heard[beat.process] = (self._clock(), beat.sockets)

    def company(self) -> Company:
        """Who is there now."""
        since = self._clock() - FORGOTTEN_AFTER
        self._heard = {name: heard for name, heard in self._heard.items() if heard[0] > since}
        return Company(1 + len(self._heard), self._sockets() + sum(sockets for _, sockets in self._heard.values()))

    def forget(self) -> None:
        """Nobody can be heard any more."""
        self._heard.clear()
