"""A histogram: how often a number of seconds fell between which bounds, and what share of them was how small.

Invariant: observing is a search among a dozen bounds and two additions, so it can be done wherever something is handed on.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""From what nobody notices to what nobody waits for."""


class Histogram:
    """Counts by upper bound; the last count is of what exceeds them all."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def __repr__(self) -> str:
        return f"<Histogram of {sum(self.counts)}>"

    def observe(self, value: float, count: int = 1) -> None:
        """It was this, so many times."""
        self.counts[bisect_left(self.bounds, value)] += count
        self.sum += value * count


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """Below which number this share of all lies, taken to be spread evenly between two bounds. None of nothing.

    What exceeds every bound is said to be at the last one.
    """
    total = sum(counts)
    if not total:
        return None
    wanted = share * total
    for place, reached in enumerate(accumulate(counts)):
        if reached >= wanted and place < len(bounds):
            low = bounds[place - 1] if place else 0.0
            return low + (bounds[place] - low) * (1 - (reached - wanted) / max(1, counts[place]))
    return bounds[-1]
