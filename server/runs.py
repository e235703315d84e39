"""A run of a function, seen from outside: measured, and named on every line that is logged meanwhile.

By kind as histograms, and by name as sums, which is enough to see which of them is slow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from schema.values import Millis, Timestamp
from server.auth.identity import Identity
from server.ids import request_id
from server.logs import About
from server.registry import Function
from subscriptions.histogram import Histogram


class Trace(Protocol):
    """What is told of runs, where anybody wants traces."""

    def span(self, name: str, /) -> AbstractContextManager[object]:
        """Something that takes time."""
        ...

    def run(self, kind: str, path: str, ts: Timestamp | None) -> AbstractContextManager[None]:
        """A run; of a query, as of a moment."""
        ...

    def committed(self, ts: Timestamp) -> None:
        """The run that is under way was committed then."""
        ...


class Runs:
    """Each run counts, whatever came of it."""

    __slots__ = ("_by_kind", "_clock", "_counts", "_spent", "trace")

    def __init__(self, clock: Callable[[], Millis], trace: Trace | None) -> None:
        self._clock, self.trace = clock, trace
        self._by_kind = {kind: Histogram() for kind in ("query", "mutation", "action")}
        self._counts: dict[str, int] = {}
        self._spent: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Runs of {len(self._counts)} functions>"

    def of(self, function: Function, caller: Identity | None, ts: Timestamp | None = None) -> Run:
        """A context that lasts as long as a run."""
        return Run(self, function, caller, ts)

    def metrics(self) -> Mapping[str, float | Histogram]:
        """By metric name."""
        runs = {f'anime_function_runs_total{{function="{path}"}}': count for path, count in self._counts.items()}
        spent = {f'anime_function_seconds_total{{function="{path}"}}': took for path, took in self._spent.items()}
        return {**{f"anime_{kind}_seconds": seen for kind, seen in self._by_kind.items()}, **runs, **spent}

    def took(self, function: Function, began: Millis) -> None:
        """A run is over."""
        seconds = max(0.0, self._clock() - began) / 1_000
        self._by_kind[function.kind].observe(seconds)
        self._counts[function.path] = self._counts.get(function.path, 0) + 1
        self._spent[function.path] = self._spent.get(function.path, 0.0) + seconds

    def now(self) -> Millis:
        """When a run begins."""
        return self._clock()


class Run(About):
    """One run of a function, from entering to leaving."""

    __slots__ = ("_began", "_function", "_runs", "_span")

    def __init__(self, runs: Runs, function: Function, caller: Identity | None, ts: Timestamp | None) -> None:
        user = None if caller is None else caller.subject
        super().__init__(function=function.path, user=user, request=request_id())
        self._runs, self._function, self._began = runs, function, 0.0
        self._span = None if runs.trace is None else runs.trace.run(function.kind, function.path, ts)

    def __enter__(self) -> None:
        super().__enter__()
        if self._span is not None:
            self._span.__enter__()
        self._began = self._runs.now()

    def __exit__(self, *error: Any) -> None:
        self._runs.took(self._function, self._began)
        if self._span is not None:
            self._span.__exit__(*error)
        super().__exit__(*error)
