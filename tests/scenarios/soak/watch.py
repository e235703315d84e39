"""What the processes of the soak occupy and compute, looked at every few seconds, life by life.

A process that was killed begins a new life: a slope is told for each life that lasted, from `WARM_UP_S` after its start on.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import msgspec

from tests.scenarios.soak.figures import slope, slope_beside
from tests.scenarios.torture_targets import Target
from tests.support.http import http_client

EVERY_S = 5.0
WARM_UP_S = 45.0
MIB = 1 << 20
SPAN_S = 600.0
"""Slopes are told per ten minutes."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SOCKETS = "anime_sockets "


class Sample(msgspec.Struct, frozen=True):
    """One look at one process; `below` is what its children occupy, `sockets` is -1 where nobody asked."""

    at: float
    resident: int
    below: int
    processor_s: float
    sockets: int = -1


class Life(msgspec.Struct, frozen=True):
    """One life of one process."""

    name: str
    number: int
    samples: list[Sample]

    def __repr__(self) -> str:
        return f"<Life {self.number} of {self.name}, {len(self.samples)} samples>"

    @property
    def lasted_s(self) -> float:
        """From the first look to the last."""
        return self.samples[-1].at - self.samples[0].at

    def warm(self, since: float = 0.0) -> list[Sample]:
        """The looks after the warm-up, and after `since`."""
        start = max(self.samples[0].at + WARM_UP_S, since)
        return [each for each in self.samples if each.at >= start]

    def growth_mib(self, since: float = 0.0) -> float:
        """MiB per ten minutes, by least squares over time."""
        return slope([(each.at, each.resident) for each in self.warm(since)]) * SPAN_S / MIB

    def growth_beside_sockets_mib(self, since: float = 0.0) -> float:
        """The same, with the number of sockets held."""
        looks = [each for each in self.warm(since) if each.sockets >= 0]
        return slope_beside([(each.at, each.sockets, each.resident) for each in looks]) * SPAN_S / MIB


class Watch:
    """Looks at these, again and again."""

    def __init__(self, targets: Sequence[Target], survivor_url: str) -> None:
        self._targets, self._url = targets, survivor_url
        self._lives: dict[tuple[str, int], list[Sample]] = defaultdict(list)

    async def look(self) -> None:
        """For ever."""
        async with http_client(timeout=EVERY_S) as http:
            while True:
                sockets = await self._sockets(http)
                for place, each in enumerate(self._targets):
                    pid = each.pid
                    sample = None if pid is None else sampled(pid, sockets if place == 0 else -1)
                    if sample is not None:
                        self._lives[each.name, each.starts].append(sample)
                await asyncio.sleep(EVERY_S)

    async def _sockets(self, http: httpx.AsyncClient) -> int:
        try:
            lines = (await http.get(f"{self._url}/metrics")).text.splitlines()
        except httpx.HTTPError:
            return -1
        return next((int(float(each.split()[1])) for each in lines if each.startswith(SOCKETS)), -1)

    @property
    def lives(self) -> list[Life]:
        """All of them, one process after the other."""
        return [Life(name, number, samples) for (name, number), samples in sorted(self._lives.items())]

    def processor_share(self, name: str) -> float:
        """Cores that all lives of a process kept busy, of the time that they were looked at."""
        lives = [each for each in self.lives if each.name == name and each.lasted_s > 0]
        spent = sum(each.samples[-1].processor_s - each.samples[0].processor_s for each in lives)
        lasted = sum(each.lasted_s for each in lives)
        return spent / lasted if lasted else 0.0


def sampled(pid: int, sockets: int = -1) -> Sample | None:
    """A process as it is now; nothing if it is gone."""
    try:
        spent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        own = _resident(pid)
        below = sum(_resident(each) for each in _children(pid))
    except (OSError, ValueError, IndexError):
        return None
    return Sample(time.monotonic(), own, below, (int(spent[11]) + int(spent[12])) / TICKS_PER_S, sockets)


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())
