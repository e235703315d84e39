"""How attempts at jobs ended, counted by kind of work: what operators see of a worker."""

from __future__ import annotations

from collections import Counter
from typing import Literal, TypeAlias

from jobs.policy import Complete, Decision, Postpone, Retry
from schema.values import Millis

Ending: TypeAlias = Literal["succeeded", "retried", "postponed", "given_up", "handed_back", "lost", "lapsed", "dropped"]
"""As decided; handed back at a restart; somebody else's by now; of a worker that never came back; nobody foresaw it."""


def ending_of(decision: Decision) -> Ending:
    """What a decision means for the attempt that it is about."""
    match decision:
        case Complete():
            return "succeeded"
        case Retry():
            return "retried"
        case Postpone():
            return "postponed"
    return "given_up"


class Tally:
    """Counts, for as long as the process lives."""

    __slots__ = ("attempts", "ended", "spent")

    def __init__(self) -> None:
        self.attempts: Counter[str] = Counter()
        self.ended: Counter[tuple[str, Ending]] = Counter()
        self.spent: Counter[str] = Counter()
        """Milliseconds of finished attempts."""

    def __repr__(self) -> str:
        return f"<Tally of {self.attempts.total()} attempts>"

    def began(self, kind: str) -> None:
        """An attempt was claimed."""
        self.attempts[kind] += 1

    def over(self, kind: str, ending: Ending, took: Millis = 0.0) -> None:
        """It has ended so, after so long."""
        self.ended[kind, ending] += 1
        self.spent[kind] += int(took)
