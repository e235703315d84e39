"""The states of a job as a table. The database holds the state, this says what may follow.

Invariant: `apply` is the only way from one state to another; what is not in the table does not happen.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from jobs.errors import WrongStep
from schema.system import JobState

Event: TypeAlias = Literal["claim", "renew", "succeed", "retry", "give_up", "hand_back", "cancel"]

STEPS: Final[dict[tuple[JobState, Event], JobState]] = {
    ("queued", "claim"): "leased",
    ("queued", "cancel"): "cancelled",
    ("leased", "renew"): "leased",
    ("leased", "succeed"): "succeeded",
    ("leased", "retry"): "queued",
    ("leased", "hand_back"): "queued",
    ("leased", "give_up"): "dead",
    ("leased", "cancel"): "cancelled",
}

FIRST: Final[JobState] = "queued"
SETTLED: Final[frozenset[JobState]] = frozenset(STEPS.values()) - {state for state, _ in STEPS}
"""States that nothing leads out of."""


def apply(state: JobState, event: Event) -> JobState:
    """The state that follows. Raises `WrongStep`."""
    try:
        return STEPS[state, event]
    except KeyError:
        raise WrongStep(state, event) from None


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {FIRST}"]
    lines += [f"    {state} --> {then}: {event.replace('_', ' ')}" for (state, event), then in STEPS.items()]
    lines += [f"    {state} --> [*]" for state in sorted(SETTLED)]
    return "\n".join(lines)
