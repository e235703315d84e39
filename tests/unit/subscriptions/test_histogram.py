"""Histograms: what is observed lies under its bound, and quantiles lie where what was observed lay."""

from __future__ import annotations

import pytest

from subscriptions.histogram import Histogram, quantile

BOUNDS = (1.0, 2.0, 4.0)


def test_a_bound_belongs_to_what_lies_below_it() -> None:
    seen = Histogram(BOUNDS)
    for value in (0.5, 1.0, 1.5, 4.0, 9.0):
        seen.observe(value)
    seen.observe(2.5, count=3)
    assert (seen.counts, seen.sum) == ([2, 1, 4, 1], 16.0 + 7.5)


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ([0, 0, 0, 0], 0.5, None),
        ([4, 0, 0, 0], 0.5, 0.5),
        ([0, 4, 0, 0], 0.5, 1.5),
        ([2, 0, 2, 0], 0.5, 1.0),
        ([2, 0, 2, 0], 0.75, 3.0),
        ([99, 0, 0, 1], 0.99, 1.0),
        ([0, 0, 0, 7], 0.5, 4.0),
    ],
)
def test_quantiles(counts: list[int], share: float, expected: float | None) -> None:
    assert quantile(BOUNDS, counts, share) == (None if expected is None else pytest.approx(expected))
