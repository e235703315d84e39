"""The soak's report: one page of Markdown. Whether memory grows is judged here, where there was time enough to see it."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from tests.scenarios.soak.figures import Latencies, beside_kills, percentile
from tests.scenarios.soak.watch import EVERY_S, MIB, SPAN_S, WARM_UP_S, Life

SURVIVOR = "web 0"
AWAY_FROM_KILLS = "without the 10 s after a kill"
LONG_ENOUGH_S = 600.0
"""A slope over less than this is told and not judged."""
MOST_GROWTH = 0.05
"""Of what the survivor occupies, in ten minutes."""
SHORTEST_TOLD_S = 60.0
PARTS = (50, 90, 99, 100)
DRIVERS = ("the crowd", "members, stand-ins, this audit")
BUSY = 0.85
STILL_MS = 3_000.0
TITLES = {
    "gallery": "write to push: the public page, everybody",
    "page": "write to push: one picture, its 25 visitors",
    "mutations": "a member's mutation, until it is on the screen",
    "late": "writes first seen over the next socket",
    "returns": "a socket lost, until all answers are back",
    "openings": "a visitor comes, until all answers are there",
    "delays": "the crowd's own loop is late by",
}
WINDOWS = 6


class Report(msgspec.Struct):
    """What came of it. `problems` are broken promises; `remarks` are for a person to look at."""

    command: str
    began: float
    seconds: float
    kills: list[tuple[float, str]]
    lives: list[Life]
    cores: dict[str, float]
    latencies: dict[str, Latencies]
    facts: dict[str, Any]
    troubles: dict[str, dict[str, Any]]
    problems: list[str]
    remarks: list[str]
    logs: dict[str, list[str]] = {}

    def __post_init__(self) -> None:
        self.problems += list(self._leaks())

    def _warm_since(self) -> float:
        """When the survivor had had everybody's sockets: half a minute after the first web process was killed."""
        return next((at + 30 for at, name in self.kills if name.startswith("web")), 0.0)

    def _survivors(self) -> list[Life]:
        return [each for each in self.lives if each.name == SURVIVOR]

    def _leaks(self) -> Iterator[str]:
        survivors = self._survivors()
        if len(survivors) != 1:
            yield f"{SURVIVOR} was not to be killed, and had {len(survivors)} lives"
        for life in survivors:
            warm = life.warm(self._warm_since())
            if warm and warm[-1].at - warm[0].at >= LONG_ENOUGH_S:
                growth, occupied = life.growth_mib(self._warm_since()), warm[0].resident / MIB
                if growth > MOST_GROWTH * occupied:
                    yield f"LEAK: {SURVIVOR} grows by {growth:.1f} MiB in ten minutes, and had {occupied:.0f}"

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"# Soak: {self.seconds / 60:.1f} minutes, {len(self.kills)} kills, {len(self.problems)} problems"
        yield f"\n`python -m tests.scenarios.soak {self.command}`, {time.strftime('%d %B %Y, %H:%M')}, {machine()}.\n"
        yield from (f"- PROBLEM: {each}" for each in self.problems)
        still_ms = percentile(self.latencies["delays"].of(), 100)
        if still_ms > STILL_MS:
            yield f"- THE MACHINE STOOD STILL for {still_ms / 1e3:.0f} s: the milliseconds below are not the product's."
        yield from self._latency_lines()
        yield from self._window_lines()
        yield from self._memory_lines()
        yield "\n| process | cores it kept busy |\n|---|---|"
        yield from (f"| {name} | {share:.2f} |" for name, share in self.cores.items())
        busiest = max(self.cores[each] for each in DRIVERS)
        yield f"\nThe driver was {'' if busiest > BUSY else 'not '}the bottleneck: each process of it has one core at most.\n"
        yield from (f"- {name}: {fact}" for name, fact in self.facts.items())
        yield "\nKilled: " + (", ".join(name for _, name in self.kills) or "nobody") + "\n"
        for whose, found in self.troubles.items():
            yield f"- {whose}: {', '.join(f'{count} x {what}'.removesuffix(' x ') for what, count in found.items()) or 'nothing'}"
        yield from (f"- remark: {each}" for each in self.remarks)

    def _latency_lines(self) -> Iterator[str]:
        shadowed = beside_kills(at for at, _ in self.kills)
        yield "\n| milliseconds | when | count | p50 | p90 | p99 | max |\n|---|---|---|---|---|---|---|"
        for name, title in TITLES.items():
            times = self.latencies[name]
            yield _row(title, "always", times, lambda _: True)
            if name in ("gallery", "page", "mutations", "delays"):
                yield _row("", AWAY_FROM_KILLS, times, lambda second: not shadowed(second))
                yield _row("", "in the 10 s after a kill", times, shadowed)

    def _window_lines(self) -> Iterator[str]:
        """The first sixth of the time beside the last: does it get slower?"""
        times = self.latencies["gallery"]
        shadowed = beside_kills(at for at, _ in self.kills)
        first, each = int(self.began), max(1, math.ceil(self.seconds / WINDOWS))
        yield "\n| the public page, a part of the time | when | count | p50 | p90 | p99 | max |\n|---|---|---|---|---|---|---|"
        for number in range(WINDOWS):
            start = first + number * each

            def inside(second: int, start: int = start) -> bool:
                return start <= second < start + each and not shadowed(second)

            span = f"minutes {number * each / 60:.1f} to {(number + 1) * each / 60:.1f}"
            yield _row(span, AWAY_FROM_KILLS, times, inside)

    def _memory_lines(self) -> Iterator[str]:
        how = f"by least squares, from {WARM_UP_S:.0f} s after a start, MiB in ten minutes"
        yield f"\nMemory, every {EVERY_S:.0f} s. Growth {how}.\n"
        yield "| process | life | minutes | MiB first | last | most | with its children | growth |\n" + 8 * "|---" + "|"
        for life in self.lives:
            if life.lasted_s < SHORTEST_TOLD_S:
                continue
            sizes = [each.resident / MIB for each in life.samples]
            both = max((each.resident + each.below) / MIB for each in life.samples)
            yield (
                f"| {life.name} | {life.number} | {life.lasted_s / 60:.1f} | {sizes[0]:.0f} | {sizes[-1]:.0f} | {max(sizes):.0f} "
                f"| {both:.0f} | {_figure(life.growth_mib())} |"
            )
        for life in self._survivors():
            since, warm = self._warm_since(), life.warm(self._warm_since())
            if not warm:
                continue
            lasted, sockets = warm[-1].at - warm[0].at, [each.sockets for each in warm if each.sockets >= 0]
            judged = "judged" if lasted >= LONG_ENOUGH_S else f"told, not judged: less than {SPAN_S / 60:.0f} minutes"
            yield (
                f"\nThe survivor, {SURVIVOR}, over {lasted / 60:.1f} minutes since it had had everybody's sockets ({judged}): "
                f"{_figure(life.growth_mib(since))} MiB in ten minutes, with its sockets held "
                f"{_figure(life.growth_beside_sockets_mib(since))}; at the end {warm[-1].resident / MIB:.0f} MiB, "
                f"{min(sockets, default=0)} to {max(sockets, default=0)} sockets.\n"
            )


def machine() -> str:
    """What this runs on."""
    try:
        model = next(
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        )
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}, load {load:.1f}"


def _row(title: str, when: str, times: Latencies, keep: Callable[[int], bool]) -> str:
    counts = times.of(keep)
    figures = " | ".join(_figure(percentile(counts, part)) for part in PARTS)
    return f"| {title} | {when} | {sum(counts.values()):,} | {figures} |"


def _figure(value: float) -> str:
    return "" if math.isnan(value) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"
