"""The phases of a socket as a table: what the machine does with what it hears, and what moves it on.

Invariant: a pair that is not in the table is our own mistake; nothing leads out of FINISHED.
"""

from __future__ import annotations

from enum import Enum

from subscriptions.errors import LocalProtocolError

CLOSE_NORMAL = 1000
CLOSE_AWAY = 1001
"""Published clients take this for an ordinary loss of the line: they report no error, and come back within seconds."""
CLOSE_BROKEN = 1011
CLOSE_OVERLOADED = 1013


class Phase(Enum):
    """What the machine does with what it hears."""

    LISTENING = "listening"
    VERIFYING = "verifying"  # messages wait for the identity under which they are to be read
    FINISHED = "finished"  # everything is ignored while the driver drains


class Cue(Enum):
    """What moves the machine from one phase to the next."""

    CLAIMED = "claimed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FAILED = "failed"


PHASES: dict[tuple[Phase, Cue], Phase] = {
    (Phase.LISTENING, Cue.CLAIMED): Phase.VERIFYING,
    (Phase.LISTENING, Cue.EXPIRED): Phase.FINISHED,
    (Phase.LISTENING, Cue.FAILED): Phase.FINISHED,
    (Phase.VERIFYING, Cue.ACCEPTED): Phase.LISTENING,
    (Phase.VERIFYING, Cue.REJECTED): Phase.FINISHED,
    (Phase.VERIFYING, Cue.FAILED): Phase.FINISHED,
}


def following(phase: Phase, cue: Cue) -> Phase:
    """The phase that `cue` leads to."""
    try:
        return PHASES[phase, cue]
    except KeyError:
        raise LocalProtocolError(f"A machine that is {phase.value} cannot be told {cue.value!r}.") from None
