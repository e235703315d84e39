"""A process's readings: all its numbers for `/metrics`, whether it is ready, and its vitals for the administrators' page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from schema.system import Role, Vitals
from schema.values import Id, Millis, minutes, seconds
from server import census
from server.executor import Caller
from server.standing import Standing
from server.store.tail import Tail
from server.web.health import VERSION, Trouble
from server.web.socket import SyncEndpoint
from server.worker import Worker
from subscriptions.histogram import Histogram, quantile
from subscriptions.hub import Hub

MAX_FEED_AGE: Millis = seconds(15)
"""The pulse beats every few seconds; a position that has not moved for this long means that changes do not arrive."""
VITALS_LIFETIME: Millis = minutes(10)


class Source(Protocol):
    """Whoever counts something."""

    def metrics(self) -> Mapping[str, float | Histogram]:
        """Numbers by name."""
        ...


class Readings:
    """Asks everybody who counts. The endpoint and the worker are set by whoever opens them."""

    def __init__(
        self, name: str, hub: Hub[Caller], tail: Tail, standing: Standing, *sources: Source, clock: Callable[[], Millis]
    ) -> None:
        self._name, self._hub, self._tail, self._standing = name, hub, tail, standing
        self._sources, self._clock, self._began = sources, clock, clock()
        self._pushes = list(hub.pushes.counts)
        self.endpoint: SyncEndpoint | None = None
        self.worker: Worker | None = None

    def __repr__(self) -> str:
        return f"<Readings of {self._name}>"

    def feed_age(self) -> Millis:
        """How long ago the log's position moved."""
        return max(0.0, self._clock() - self._hub.moved_at)

    def is_draining(self) -> bool:
        """Is the process about to stop?"""
        return self.endpoint is not None and self.endpoint.is_draining

    def troubles(self) -> list[Trouble]:
        """Why nobody should be sent here."""
        is_late = not self._tail.is_open or self.feed_age() > MAX_FEED_AGE
        found: list[tuple[Trouble, bool]] = [("feed", is_late), ("ledger", self._standing.ledger_is_doubtful)]
        return [trouble for trouble, is_so in found if is_so]

    async def metrics(self) -> Mapping[str, float | Histogram]:
        """Everything that is counted here."""
        hub = self._hub
        count, resident = await census.take(hub, self.endpoint), census.resident_bytes()
        mine = (self._tail, self._standing, *self._sources, self.endpoint, self.worker)
        return {
            "anime_answers": len(hub.answers),
            "anime_live_queries": count.live_queries,
            "anime_cohorts": len(hub.cohorts),
            "anime_cohort_members": hub.cohorts.members,
            "anime_query_executions_total": hub.executions,
            "anime_invalidations_total": hub.invalidations,
            "anime_push_latency_seconds": hub.pushes,
            "anime_feed_age_seconds": self.feed_age() / 1_000,
            "anime_feed_lag_seconds": hub.lag / 1_000,
            **census.memory(count, hub, self.sockets, self._tail.held),
            **({} if resident is None else {"anime_resident_bytes": resident}),
            **{name: value for each in mine if each is not None for name, value in each.metrics().items()},
        }

    async def vitals(self) -> Vitals | None:
        """How this process is now, for its row; None for one that neither serves nor works."""
        role = self._role
        if role is None:
            return None
        now, count = self._clock(), await census.take(self._hub, self.endpoint)
        before, self._pushes = self._pushes, list(self._hub.pushes.counts)
        lately = [late - early for late, early in zip(self._pushes, before, strict=True)]
        half, nearly_all = (quantile(self._hub.pushes.bounds, lately, share) for share in (0.5, 0.99))
        return Vitals(
            id=Id(self._name),
            creation_time=self._began,
            role=role,
            version=VERSION,
            started_at=self._began,
            seen_at=now,
            sockets=self.sockets,
            live_queries=count.live_queries,
            answers=len(self._hub.answers),
            jobs_running=0 if self.worker is None else self.worker.loop.running,
            feed_lag=self._hub.lag,
            push_p50=None if half is None else seconds(half),
            push_p99=None if nearly_all is None else seconds(nearly_all),
            resident_bytes=census.resident_bytes(),
            expires_at=now + VITALS_LIFETIME,
        )

    @property
    def sockets(self) -> int:
        """How many are open."""
        return 0 if self.endpoint is None else len(self.endpoint)

    @property
    def _role(self) -> Role | None:
        if self.endpoint is None:
            return None if self.worker is None else "worker"
        return "web" if self.worker is None else "web and worker"
