"""Departures: who leaves when, as a process that serves many goes away.

Invariant: everybody leaves once, in the order in which they came, and no stretch of time sees more of them than its share. So the
process that takes them in next is never asked by all at once, and who has just come from another one that went away is not sent
on before those who have been here all along.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

S = TypeVar("S")

NOTICE_SHARE = 0.2
"""Of the time there is, so much passes before the first leaves: whoever sends people here has to notice first."""


def departures(sockets: Sequence[S], within_s: float) -> Iterator[tuple[float, S]]:
    """When each leaves, in seconds from now, before `within_s` have passed. `sockets` are in the order in which they came."""
    notice_s = NOTICE_SHARE * within_s
    for place, socket in enumerate(sockets):
        yield notice_s + (within_s - notice_s) * place / len(sockets), socket
