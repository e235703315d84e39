"""Numbers as Prometheus reads them: its text format, version 0.0.4.

Ours, and not a library's: what is counted is counted in plain attributes where it happens, so nothing but these lines would be
used of one, and its counters take a lock each time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate

from server.families import FAMILIES
from subscriptions.histogram import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4"


def exposition(samples: Mapping[str, float | Histogram]) -> str:
    """Samples by name and labels, `anime_jobs{kind="x"}`, as text. A name that is not declared is a `KeyError`."""
    by_family: defaultdict[str, list[str]] = defaultdict(list)
    for sample in sorted(samples):
        by_family[sample.partition("{")[0]].append(sample)
    lines: list[str] = []
    for name, of_family in by_family.items():
        family = FAMILIES[name]
        lines += (f"# HELP {name} {family.says}", f"# TYPE {name} {family.kind}")
        for sample in of_family:
            value = samples[sample]
            lines += _spread(sample, value) if isinstance(value, Histogram) else [f"{sample} {value:.15g}"]
    return "\n".join(lines) + "\n"


def _spread(name: str, seen: Histogram) -> Iterator[str]:
    """A histogram without labels, as counts up to each bound."""
    for bound, count in zip((*map(str, seen.bounds), "+Inf"), accumulate(seen.counts), strict=True):
        yield f'{name}_bucket{{le="{bound}"}} {count}'
    yield f"{name}_sum {seen.sum:.15g}"
    yield f"{name}_count {sum(seen.counts)}"
