"""Traces, for OpenTelemetry: imported only where `OTEL_EXPORTER_OTLP_ENDPOINT` is set.

A message on a socket, the function it runs, that function's commands to MongoDB; a delivery of the feed, with the pushes that
follow from it; and the queries that run again. A delivery is linked to the mutations whose commits it brought, a query to the
newest that it sees; both are remembered by commit time for a while.

Invariant: spans carry names and counts, and no arguments, results, people or errors' words.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation import set_span_in_context
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from schema.document import table_of
from schema.readset import Commit
from schema.system import Pulse, Vitals
from schema.values import Millis, Timestamp

MAX_REMEMBERED = 4_096
"""Commits and deliveries, by commit time; commands under way."""
MAX_LOOKED_AT = 64
"""Of the latest commits, for the newest that a query sees: they are remembered nearly in order."""
EXPORT_DEADLINE_S = 5.0
QUIET = {table_of(Pulse).name, table_of(Vitals).name}
"""What processes write to say that they are there is no story."""

K = TypeVar("K", Timestamp, Millis)
Deliver = Callable[[Sequence[Commit], Timestamp], None]


class Tracing:
    """Makes spans and sends them, in a thread of the library's, to a collector. What it cannot send in time it lets go of."""

    def __init__(self, endpoint: str, *, service: str, instance: str, version: str) -> None:
        about = {"service.name": service, "service.instance.id": instance, "service.version": version}
        self._provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_DEADLINE_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("anime-leak", version)
        self._commits: OrderedDict[Timestamp, SpanContext] = OrderedDict()
        self._deliveries: OrderedDict[Timestamp, SpanContext] = OrderedDict()
        self._moments: OrderedDict[Millis, SpanContext] = OrderedDict()
        self.commands = Commands(self)

    def __repr__(self) -> str:
        return f"<Tracing, {len(self._commits)} commits remembered>"

    @contextmanager
    def span(self, name: str, **attributes: str | int) -> Iterator[Span]:
        """A span for as long as this context. What is raised in it marks it as failed, without a word of it."""
        with self._tracer.start_as_current_span(
            name, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception:
                span.set_status(StatusCode.ERROR)
                raise

    @contextmanager
    def run(self, kind: str, path: str, ts: Timestamp | None) -> Iterator[None]:
        """A run of a function, linked at its end to the newest commit that it sees: by then the commit itself is known here."""
        with self.span(f"{kind} {path}", **{"anime.function": path, "anime.kind": kind}) as span:
            try:
                yield
            finally:
                if ts is not None and (seen := self._newest(ts)) is not None:
                    span.add_link(seen)

    def _newest(self, ts: Timestamp) -> SpanContext | None:
        latest = [each for each in islice(reversed(self._commits), MAX_LOOKED_AT) if each <= ts]
        return self._commits[max(latest)] if latest else None

    def committed(self, ts: Timestamp) -> None:
        """The present span's mutation was committed then. Its delivery may have been faster than this word of it."""
        span = get_current_span()
        _remember(self._commits, ts, span)
        if (delivery := self._deliveries.get(ts)) is not None:
            span.add_link(delivery)

    def delivering(self, deliver: Deliver) -> Deliver:
        """`deliver`, with everything that it sets in motion."""

        def traced(commits: Sequence[Commit], position: Timestamp) -> None:
            told = [commit for commit in commits if _is_told(commit)]
            if not told:
                deliver(commits, position)
                return
            links = [Link(commit) for each in told if (commit := self._commits.get(each.ts)) is not None]
            with self._tracer.start_as_current_span(
                "feed delivery", links=links, attributes={"anime.commits": len(commits)}
            ) as span:
                for each in told:
                    _remember(self._deliveries, each.ts, span)
                    _remember(self._moments, each.at, span)
                deliver(commits, position)

        return traced

    def pushed(self, stale_since: Millis, sockets: int) -> None:
        """So many sockets were handed just now what follows from the commit of that moment."""
        delivery = self._moments.get(stale_since)
        within = None if delivery is None else set_span_in_context(NonRecordingSpan(delivery))
        self._tracer.start_span("push", within, attributes={"anime.sockets": sockets}).end()

    def command(self, name: str, collection: str | None) -> Span:
        """A command to the database, within what is current."""
        attributes = {"db.system.name": "mongodb", "db.operation.name": name, "db.collection.name": collection or ""}
        return self._tracer.start_span(
            f"{name} {collection or ''}".strip(), kind=SpanKind.CLIENT, attributes=attributes
        )

    def flush(self) -> None:
        """Send what is there. Blocks."""
        self._provider.force_flush(int(EXPORT_DEADLINE_S * 1_000))

    def close(self) -> None:
        """Send what is there and stop. Blocks."""
        self._provider.shutdown()


class Commands(CommandListener):
    """The driver's commands, where they belong to something that is traced. What is in them is not looked at."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing
        self._running: dict[int, Span] = {}

    def started(self, event: CommandStartedEvent) -> None:
        """It is sent."""
        if get_current_span().is_recording():
            on = event.command.get(event.command_name)
            span = self._tracing.command(event.command_name, on if isinstance(on, str) else None)
            self._running[event.request_id] = span
            while len(self._running) > MAX_REMEMBERED:  # of one that was cancelled the driver says no more
                self._running.pop(next(iter(self._running))).end()

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """It was answered."""
        if (span := self._running.pop(event.request_id, None)) is not None:
            span.end()

    def failed(self, event: CommandFailedEvent) -> None:
        """It was refused, or nothing came."""
        if (span := self._running.pop(event.request_id, None)) is not None:
            span.set_status(StatusCode.ERROR)
            span.end()


def _is_told(commit: Commit) -> bool:
    return bool(commit.writes.tables) or any(touch.table not in QUIET for touch in commit.writes.touches)


def _remember(kept: OrderedDict[K, SpanContext], at: K, span: Span) -> None:
    kept[at] = span.get_span_context()
    while len(kept) > MAX_REMEMBERED:
        kept.popitem(last=False)
