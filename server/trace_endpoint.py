"""Where traces go, if anywhere: the library is loaded only where an endpoint is named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from server.config import ConfigurationError, Settings
from server.web.health import VERSION

if TYPE_CHECKING:
    from server.tracing import Tracing


@asynccontextmanager
async def open_tracing(settings: Settings, instance: str) -> AsyncIterator[Tracing | None]:
    """Traces for as long as this context; None where nobody is named to send them to. Raises `ConfigurationError`."""
    if settings.trace_endpoint is None:
        yield None
        return
    try:
        from server.tracing import Tracing
    except ImportError:
        raise ConfigurationError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set and OpenTelemetry is not installed. "
            "Run pip install --no-deps --require-hashes -r requirements-trace.lock, or leave the variable unset."
        ) from None
    trace = Tracing(settings.trace_endpoint, service=settings.trace_service, instance=instance, version=VERSION)
    try:
        yield trace
    finally:
        await asyncio.to_thread(trace.close)
