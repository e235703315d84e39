"""One mutation over a real socket, followed from its message to the push, by what a collector of traces is sent."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.live import world_client
from tests.support.processes import DEADLINE_S, running
from tests.support.world import World, free_port, open_world


class Collector:
    """What was sent, span by span."""

    def __init__(self, url: str) -> None:
        self.url, self.spans = url, list[Span]()

    async def take(self, request: Request) -> Response:
        sent = ExportTraceServiceRequest.FromString(await request.body())
        self.spans += [span for whole in sent.resource_spans for part in whole.scope_spans for span in part.spans]
        return Response(ExportTraceServiceResponse().SerializeToString(), media_type="application/x-protobuf")

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def below(self, parent: Span) -> list[Span]:
        return [span for span in self.spans if span.parent_span_id == parent.span_id]


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    port = free_port()
    opened = Collector(f"http://127.0.0.1:{port}")
    app = Starlette(routes=[Route("/v1/traces", opened.take, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not server.started:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        yield opened
    finally:
        server.should_exit = True
        await task


async def flushed(world: World) -> None:
    assert world.runtime.trace is not None
    await asyncio.to_thread(world.runtime.trace.flush)


async def test_a_mutation_is_followed_from_its_message_to_the_push(mongod_uri: str) -> None:
    private = "user_of-this-story"
    async with collector() as told:
        async with (
            open_world(mongod_uri, OTEL_EXPORTER_OTLP_ENDPOINT=told.url) as world,
            world_client(world, private) as ana,
        ):
            screen = await ana.watch("users:getCurrentUserCredits")
            await ana.mutation("users:ensureUser")
            await screen.until(lambda value: value["credits"] == 10)
            await flushed(world)

        (message,) = told.named("socket message")
        assert not message.parent_span_id
        (mutation,) = told.below(message)
        assert mutation.name == "mutation users:ensureUser"
        commands = {span.name for span in told.below(mutation)}
        assert commands >= {"find users", "insert users", "insert ledger", "insert receipts", "commitTransaction"}

        (delivery,) = [span for span in told.named("feed delivery") if caused(span, mutation) or caused(mutation, span)]
        assert delivery.trace_id != mutation.trace_id
        set_in_motion = told.below(delivery)
        _, again = told.named("query users:getCurrentUserCredits")
        assert caused(again, mutation), "the re-execution names the mutation whose commit it sees"
        assert "find users" in {span.name for span in told.below(again)}
        (push,) = [span for span in set_in_motion if span.name == "push"]
        assert {each.key: each.value.int_value for each in push.attributes}["anime.sockets"] == 1
        assert mutation.start_time_unix_nano < again.start_time_unix_nano < push.start_time_unix_nano
        said = "".join(str(span) for span in told.spans)
        assert private not in said


def caused(effect: Span, cause: Span) -> bool:
    """Does a link lead from the one to the other?"""
    return any(link.span_id == cause.span_id and link.trace_id == cause.trace_id for link in effect.links)


async def test_without_the_variable_nothing_is_loaded(town: World) -> None:
    assert town.runtime.trace is None
    assert town.runtime.executor.trace is None
    assert town.runtime.hub.on_push is None
    code = (
        "import sys, server.__main__; sys.exit(bool({'server.tracing', 'opentelemetry.exporter'} & set(sys.modules)))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=Path(__file__).parents[2])
    async with asyncio.timeout(DEADLINE_S):
        assert await process.wait() == 0


async def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As a process that finds an empty package by that name."""
    (tmp_path / "opentelemetry.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with running("worker", APP_ENV="development", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1") as worker:
        assert await worker.ended() == 2
    assert "requirements-trace.lock" in worker.said
