"""The soak's arithmetic: latencies counted in buckets, slopes by least squares, and whether two answers are the same.

Invariant: nothing here waits, reads a clock or a file; a percentile is never lower than what was measured, and at most
`STEP` too high.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

Counts: TypeAlias = Mapping[int, int]
"""How many were in each bucket."""

STEP = 1.05
"""Each bucket reaches so much further than the one before."""
SHORTEST_MS = 0.1
NEVER_MS = math.inf
_LOG = math.log(STEP)
AFTER_A_KILL_S = 10.0


def bucket_of(took_ms: float) -> int:
    """The bucket of so many milliseconds."""
    return 0 if took_ms <= SHORTEST_MS else math.ceil(math.log(took_ms / SHORTEST_MS) / _LOG)


def reach_ms(bucket: int) -> float:
    """The longest that falls into a bucket."""
    return SHORTEST_MS * STEP**bucket


class Latencies:
    """How long something took, thousands of times a second: counted by the second in which it ended, and by bucket."""

    def __init__(self, counts: Mapping[int, Counts] | None = None) -> None:
        self._seconds = {second: Counter(found) for second, found in (counts or {}).items()}

    def __repr__(self) -> str:
        return f"<Latencies {sum(self.of().values())} in {len(self._seconds)} seconds>"

    def add(self, ended_s: float, took_ms: float) -> None:
        """One more, which ended at this second."""
        second = int(ended_s)
        counts = self._seconds.get(second)
        if counts is None:
            counts = self._seconds[second] = Counter()
        counts[bucket_of(took_ms)] += 1

    def of(self, keep: Callable[[int], bool] = lambda _: True) -> Counter[int]:
        """Those that ended in the seconds to keep."""
        found: Counter[int] = Counter()
        for second, counts in self._seconds.items():
            if keep(second):
                found.update(counts)
        return found

    def told(self) -> dict[str, dict[str, int]]:
        """As JSON says it."""
        return {str(second): {str(each): n for each, n in counts.items()} for second, counts in self._seconds.items()}

    @classmethod
    def heard(cls, told: Mapping[str, Mapping[str, int]]) -> Latencies:
        """What `told` said."""
        return cls({int(at): {int(each): n for each, n in counts.items()} for at, counts in told.items()})


def percentile(counts: Counts, part: float) -> float:
    """Milliseconds within which this part of all ended: 50, 99, or 100 for the longest. NaN when there were none."""
    total, seen = sum(counts.values()), 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen * 100 >= total * part:
            return reach_ms(bucket)
    return math.nan


def beside_kills(kills: Iterable[float]) -> Callable[[int], bool]:
    """Tells of a second whether it lies in the `AFTER_A_KILL_S` after a kill."""
    shadowed = {int(at) + each for at in kills for each in range(int(AFTER_A_KILL_S) + 1)}
    return lambda second: second in shadowed


def slope(points: Sequence[tuple[float, float]]) -> float:
    """What y grows by, for each unit of x, by least squares. NaN where x never changes."""
    if len(points) < 2:
        return math.nan
    middle_x, middle_y = (sum(each[axis] for each in points) / len(points) for axis in (0, 1))
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else math.nan


def slope_beside(points: Sequence[tuple[float, float, float]]) -> float:
    """What y grows by with x while z is held: a process's memory with time, where its sockets come and go. NaN if undecided."""
    if len(points) < 3:
        return math.nan
    middles = [sum(each[axis] for each in points) / len(points) for axis in range(3)]
    x, z, y = ([each[axis] - middles[axis] for each in points] for axis in range(3))
    xx, zz, xz = _dot(x, x), _dot(z, z), _dot(x, z)
    area = xx * zz - xz * xz
    return (zz * _dot(x, y) - xz * _dot(z, y)) / area if area > 1e-9 * max(xx * zz, 1e-9) else math.nan


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def difference(held: bytes, fresh: Any) -> str | None:
    """What a client shows and a fresh read does not, in a sentence; nothing if they are the same."""
    shown = json.loads(held)
    if shown == fresh:
        return None
    if isinstance(shown, dict) and isinstance(fresh, dict):
        if isinstance(shown.get("page"), list) and isinstance(fresh.get("page"), list):
            old, new = ({each["_id"]: each for each in every["page"]} for every in (shown, fresh))
            if lost := [each for each in new if each not in old]:
                return f"it does not show {lost}"
            if extra := [each for each in old if each not in new]:
                return f"it still shows {extra}"
            if changed := [each for each in old if old[each] != new[each]]:
                return f"it shows an older {changed[0]}: {old[changed[0]]}, and it is {new[changed[0]]}"
        fields = [name for name in {**shown, **fresh} if shown.get(name) != fresh.get(name)]
        mine, theirs = ({name: every.get(name) for name in fields} for every in (shown, fresh))
        return f"it shows {mine}, and it is {theirs}"
    return f"it shows {shown!r}, and it is {fresh!r}"
