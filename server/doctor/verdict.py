"""What a check found, and the line that says so. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

Kind = Literal["ok", "warning", "failed", "skipped"]
KIND_COLUMNS = 8
NAME_COLUMNS = 14


class Verdict(msgspec.Struct, frozen=True):
    """What was seen and, where that is not well, what to do. Neither holds a secret or somebody else's words."""

    kind: Kind
    seen: str
    advice: str = ""


def line_of(name: str, verdict: Verdict) -> str:
    """One check on one line."""
    text = f"{verdict.kind:<{KIND_COLUMNS}} {name:<{NAME_COLUMNS}} {verdict.seen} {verdict.advice}"
    return " ".join(text.splitlines()).rstrip()


def exit_status(verdicts: Sequence[Verdict]) -> int:
    """The exit status: 1 where something failed, else 0."""
    return int(any(each.kind == "failed" for each in verdicts))
