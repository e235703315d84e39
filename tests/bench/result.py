"""What a benchmark has to say in the end: a promise, what was seen beside its floor, and whether it is kept."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec

COLUMNS = ("promise", "floor, in the same run", "seen", "compared", "owed", "aim", "kept", "noise")


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One promise. `seen` is what `owed` and `aim` are held against, in `unit`: "x" where it is a ratio to the floor."""

    promise: str
    floor: str
    """In words, with its figure."""
    figure: str
    """What was seen, in its own unit."""
    seen: float
    owed: float | None = None
    aim: float | None = None
    unit: str = "x"
    more_is_better: bool = False
    noise: float | None = None
    """How far two halves of the floor itself were apart, as a ratio: what differs by less says nothing."""

    @property
    def kept(self) -> bool | None:
        """Is it? None where nothing is owed."""
        return None if self.owed is None else self._reaches(self.owed)

    def _reaches(self, wanted: float) -> bool:
        return self.seen >= wanted if self.more_is_better else self.seen <= wanted

    @property
    def cells(self) -> tuple[str, ...]:
        """Its row."""
        kept = {None: "", False: "NO"}.get(self.kept, "yes")
        kept += ", and the aim" if self.kept and self.aim is not None and self._reaches(self.aim) else ""
        limits = ("" if each is None else f"{self._side} {self._told(each)}" for each in (self.owed, self.aim))
        noise = "" if self.noise is None else f"{self.noise:.2f}x"
        return (self.promise, self.floor, self.figure, self._told(self.seen), *limits, kept, noise)

    @property
    def _side(self) -> str:
        return "at least" if self.more_is_better else "at most"

    def _told(self, value: float) -> str:
        if self.unit == "x":
            return f"{value:.2f}x"
        return f"{value:,.0f} {self.unit}" if value >= 100 or value == int(value) else f"{value:.1f} {self.unit}"


class Missing(msgspec.Struct, frozen=True):
    """A benchmark that has no results, and why."""

    name: str
    why: str

    @property
    def cells(self) -> tuple[str, ...]:
        """Its row."""
        return (self.name, "", f"not measured: {self.why}", *[""] * (len(COLUMNS) - 3))


Row = Result | Missing


def noise_of(times: Sequence[float]) -> float | None:
    """How far the medians of the two halves are apart, as a ratio that is at least 1."""
    if len(times) < 4:
        return None
    first, second = median(times[: len(times) // 2]), median(times[len(times) // 2 :])
    return max(first, second) / min(first, second) if min(first, second) > 0 else None


def machine() -> str:
    """What this is run on, and when."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        model = platform.machine()
    return (
        f"{time.strftime('%d %B %Y, %H:%M')}, {os.cpu_count()} cores ({model}), {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )


def markdown(rows: Sequence[Row]) -> str:
    """The table, as documents have it."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(each.cells for each in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def plain(rows: Sequence[Row]) -> str:
    """The table, as a terminal has it."""
    lines = [COLUMNS, *(each.cells for each in rows)]
    measured = [COLUMNS, *(each.cells for each in rows if isinstance(each, Result))]
    widths = [max(len(cells[column]) for cells in measured) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in lines
    )


def as_json(rows: Sequence[Row]) -> str:
    """For other programs."""
    return json.dumps(
        {
            "machine": machine(),
            "rows": [
                {**msgspec.to_builtins(each), **({"kept": each.kept} if isinstance(each, Result) else {})}
                for each in rows
            ],
        },
        indent=1,
    )
