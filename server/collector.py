"""Garbage collection on our own schedule.

A full pass looks at everything that sockets consist of, 60 microseconds each: with thousands of them somebody's push would wait
for a third of a second (performance 5). So what has survived the young generations is set aside, which costs nothing, and is
not looked at until enough sockets have closed to be worth it: closed ones hang together in circles and would stay for ever.

The collector counts what is made less what is let go of. Where as much goes as comes it never runs by itself, and what has come
in five seconds of a hundred writes each takes it 25 ms: so it is asked for several times a second.
"""

from __future__ import annotations

import gc
import logging
from time import perf_counter

YOUNG, MIDDLE, NEVER = 20_000, 20, 1_000_000
FULL_EVERY = 720
"""Beats; circles of other kinds are rare and small."""
WORTH_IT = 5_000
"""Closed sockets; or half as many as are open, if that is more."""

log = logging.getLogger("anime.memory")


class Collector:
    """When to collect. Call `tidy` several times a second, and `beat` every few seconds."""

    __slots__ = ("_beats", "_closed_before")

    def __init__(self) -> None:
        self._beats = self._closed_before = 0
        gc.set_threshold(YOUNG, MIDDLE, NEVER)
        gc.collect()
        gc.freeze()

    def __repr__(self) -> str:
        return f"<Collector, {gc.get_freeze_count()} objects set aside>"

    def tidy(self) -> None:
        """Collect what is young, and set aside what has survived."""
        gc.collect(1)
        gc.freeze()

    def beat(self, open_sockets: int, closed_sockets: int) -> None:
        """Collect everything if enough has closed."""
        self._beats += 1
        enough = closed_sockets - self._closed_before >= max(WORTH_IT, open_sockets // 2)
        if enough or self._beats % FULL_EVERY == 0:
            self._closed_before = closed_sockets
            began = perf_counter()
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            log.debug("collected in %.0f ms", (perf_counter() - began) * 1_000, extra={"action": "memory.collected"})
