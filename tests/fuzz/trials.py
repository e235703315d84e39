"""Trials: how many hostile inputs a target gets, and how one that got through is brought back.

`make test` gives each target a fixed number of inputs from a fixed seed. With `FUZZ_S` in the environment, as `make fuzz`
sets it, the targets share that many seconds, and the seed is new in each run unless `FUZZ_SEED` says otherwise.
"""

from __future__ import annotations

import itertools
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import TypeVar

EVERYDAY_SEED = "anime"
MAX_SHOWN = 2_000
T = TypeVar("T")


class Trials:
    """The inputs of one target."""

    def __init__(self, name: str, seed: str, seconds: float | None) -> None:
        self.name, self.seed, self._seconds = name, seed, seconds

    def of(self, make: Callable[[Random], T], count: int) -> Iterator[T]:
        """So many inputs, or as many as the time allows. At least one."""
        ends = None if self._seconds is None else time.monotonic() + self._seconds
        for number in itertools.count():
            yield make(Random(f"{self.seed}/{self.name}/{number}"))  # each by itself: the n-th needs none before it
            if (number + 1 >= count) if ends is None else (time.monotonic() >= ends):
                return

    def batches(self, make: Callable[[Random], T], count: int, size: int) -> Iterator[Sequence[T]]:
        """The same inputs, several at a time."""
        return self.of(lambda rng: [make(rng) for _ in range(size)], -(-count // size))

    @contextmanager
    def blaming(self, tried: object) -> Iterator[None]:
        """A failure in here says which input it was, and how to have it again."""
        try:
            yield
        except BaseException as error:
            error.add_note(f"FUZZ_SEED={self.seed}; the input was {str(tried)[:MAX_SHOWN]}")
            raise


def trials_of(name: str, targets: int) -> Trials:
    """The trials of one of so many targets, as the environment wants them."""
    whole = os.environ.get("FUZZ_S")
    seed = os.environ.get("FUZZ_SEED") or (EVERYDAY_SEED if whole is None else secrets.token_hex(4))
    return Trials(name, seed, None if whole is None else float(whole) / targets)
