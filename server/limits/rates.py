"""A rate: a burst, then an even refill."""

from __future__ import annotations

import msgspec

from schema.values import Millis, minutes, seconds


class Rate(msgspec.Struct, frozen=True):
    """At most `count` in a burst, refilled evenly over `each` milliseconds, which are whole seconds. None at all is unlimited."""

    count: int
    each: Millis

    def __post_init__(self) -> None:
        if self.count < 0 or self.each < seconds(1) or self.each % seconds(1):
            raise ValueError("a rate counts from 0, over whole seconds")


def per_member(count: int, *, each: Millis) -> Rate:
    """A rate for each signed-in person."""
    return Rate(count, each)


def per_minute(count: int) -> Rate:
    """A rate as the settings give it."""
    return Rate(count, minutes(1))
