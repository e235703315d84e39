"""Rates: how often one caller may do something. In this process; shared limits are a later matter."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from schema.values import Millis
from server.errors import RateLimited

MAX_TRACKED_CALLERS = 50_000


class Rate(msgspec.Struct, frozen=True):
    """At most `count` calls in a burst, refilled evenly over `each` milliseconds."""

    count: int
    each: Millis


def per_member(count: int, *, each: Millis) -> Rate:
    """A rate for each signed-in person."""
    return Rate(count, each)


class Limits:
    """Remembers, for each caller and function, when its next call would conform (GCRA)."""

    __slots__ = ("_conforming",)

    def __init__(self) -> None:
        self._conforming: OrderedDict[tuple[str, str], Millis] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Limits of {len(self._conforming)} callers>"

    def spend(self, function: str, caller: str, rate: Rate, now: Millis) -> None:
        """Count one call. Raises `RateLimited`."""
        key = (function, caller)
        interval = rate.each / rate.count
        expected = max(self._conforming.get(key, now), now)
        if expected - now > rate.each - interval:
            raise RateLimited(expected - now - (rate.each - interval))
        self._conforming[key] = expected + interval
        self._conforming.move_to_end(key)
        while len(self._conforming) > MAX_TRACKED_CALLERS:
            self._conforming.popitem(last=False)
