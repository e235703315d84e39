"""The sync endpoint: one WebSocket, carried between the client and a `SocketWorker`."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from schema.values import Millis, seconds
from server.caller import Callers
from server.calls import SocketCalls
from server.collector import Collector
from server.errors import RateLimited
from server.executor import Caller, Executor
from server.limits import Bounds, Limits, Seats, per_minute
from server.web.addresses import address_of
from server.web.live import EXTENSION, LiveLine
from server.web.origins import Origins
from server.web.refusals import RefusalResponse, limited
from subscriptions.departures import departures
from subscriptions.hub import Hub
from subscriptions.outbox import STUCK_S
from subscriptions.sync import SyncMachine
from subscriptions.transition import accepts_chunks
from subscriptions.worker import SocketWorker

MAX_SOCKETS = 20_000
SEAT_RETRY: Millis = seconds(5)
"""Nobody knows when another socket of the same address closes."""
HEARTBEAT_S = 5.0
ANSWER_GRACE_S = 5.0
"""When everybody was told to leave, how long answers that are still owed, and clients that are slow to close, may take."""
TICKS, TIDY_EVERY = 100, 4
"""Parts of a heartbeat, and after how many of them what is new in memory is looked at."""
log = logging.getLogger("anime.socket")
_VERSION = re.compile(r"^(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?:[-+][0-9A-Za-z.+-]{1,64})?$")


class Connection:
    """A client's WebSocket as the worker needs it: frames come in through ASGI and leave by the live line."""

    __slots__ = ("_gone", "_websocket", "line")

    def __init__(self, websocket: WebSocket, line: LiveLine) -> None:
        self._websocket, self.line = websocket, line
        self._gone = False

    def __repr__(self) -> str:
        return f"<Connection {'gone' if self._gone else 'open'}, {self.line!r}>"

    async def receive(self) -> str | bytes | None:
        """The next frame; None once the client is gone."""
        if self._gone:
            return None
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            self._gone = True
            return None
        text: str | None = message.get("text")
        return text if text is not None else bytes(message.get("bytes") or b"")

    async def close(self, code: int, reason: str) -> None:
        """Say good-bye."""
        if not self._gone:
            try:
                await self._websocket.close(code, reason)
            except (WebSocketDisconnect, RuntimeError):
                self._gone = True


class SyncEndpoint:
    """Accepts sockets and keeps a worker for each."""

    def __init__(
        self,
        hub: Hub[Caller],
        executor: Executor,
        callers: Callers,
        origins: Origins,
        *,
        limits: Limits,
        bounds: Bounds,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        clock: Callable[[], Millis],
        stuck_s: float = STUCK_S,
    ) -> None:
        self._hub, self._executor, self._callers, self._origins = hub, executor, callers, origins
        self._spawn, self._clock, self.stuck_s = spawn, clock, stuck_s
        self._workers: dict[SocketWorker[Caller], None] = {}
        self._all_left = asyncio.Event()
        self.is_draining = False
        self._limits, self._rate = limits, per_minute(bounds.sockets_per_minute_per_address)
        self._addresses, self._members = Seats(bounds.max_sockets_per_address), Seats(bounds.max_sockets_per_member)
        self._closed = self._cut = self._silent = self._full = 0

    def __repr__(self) -> str:
        return f"<SyncEndpoint {len(self._workers)} sockets>"

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[SocketWorker[Caller]]:
        return iter(self._workers)

    def metrics(self) -> Mapping[str, float]:
        """How many are here and how many have left; of those, who would not read and who did not answer our pings."""
        return {
            "anime_sockets": len(self),
            "anime_sockets_closed_total": self._closed,
            "anime_sockets_stuck_total": self._cut,
            "anime_sockets_silent_total": self._silent,
            'anime_limits_hit_total{limit="open_sockets"}': self._full,
            'anime_limits_hit_total{limit="open_sockets_of_an_address"}': self._addresses.turned_away,
            'anime_limits_hit_total{limit="open_sockets_of_a_member"}': self._members.turned_away,
        }

    async def heartbeat(self) -> None:
        """Ping for ever whoever has heard nothing for a while; and keep memory tidy.

        Spread over the whole beat: thousands of sockets looked at in a row are in the way of everybody's pushes.
        """
        loop, collector = asyncio.get_running_loop(), Collector()
        while True:
            collector.beat(len(self._workers), self._closed)
            workers = list(self._workers)
            for tick in range(TICKS):
                for worker in workers[tick::TICKS]:
                    worker.ping(loop.time())
                if tick % TIDY_EVERY == 0:
                    collector.tidy()
                await asyncio.sleep(HEARTBEAT_S / TICKS)

    async def drain(self, within_s: float) -> None:
        """Take nobody in any more, and see everybody off, spread over this time. Who is owed an answer stays a little longer."""
        loop = asyncio.get_running_loop()
        began, self.is_draining = loop.time(), True
        log.info("draining %r over %g s", self, within_s, extra={"action": "web.drain"})
        for after_s, worker in departures(list(self._workers), within_s):
            await asyncio.sleep(began + after_s - loop.time())
            worker.part()
        await asyncio.sleep(began + within_s - loop.time())
        try:
            async with asyncio.timeout(ANSWER_GRACE_S):
                while self._workers:
                    self._all_left.clear()
                    await self._all_left.wait()
        except TimeoutError:
            log.warning("not drained: %r", self, extra={"action": "web.not_drained"})

    async def serve(self, websocket: WebSocket) -> None:
        """One client from its handshake to its end."""
        refusal = self._refusal(websocket)
        if refusal is not None:
            await websocket.send_denial_response(refusal)
            return
        address = address_of(websocket)
        try:
            await self._limits.spend("sockets", address, self._rate)
            if not self._addresses.take(address):
                raise RateLimited(SEAT_RETRY)
        except RateLimited as error:
            await websocket.send_denial_response(RefusalResponse(limited(error)))
            return
        try:
            await self._work(websocket, SocketCalls(self._executor, self._callers, self._members, address))
        finally:
            self._addresses.leave(address)

    async def _work(self, websocket: WebSocket, calls: SocketCalls) -> None:
        await websocket.accept()
        machine = SyncMachine[Caller](None, chunks=accepts_chunks(_client(websocket)))
        connection = Connection(websocket, websocket.scope["extensions"][EXTENSION])
        worker = SocketWorker(
            connection, machine, self._hub, calls, spawn=self._spawn, clock=self._clock, stuck_s=self.stuck_s
        )
        self._workers[worker] = None
        try:
            if self.is_draining:  # let in a moment before: it is not among those who are seen off
                worker.part()
            await worker.run()
        finally:
            del self._workers[worker]
            if not self._workers:
                self._all_left.set()
            calls.leave()
            self._closed += 1
            self._cut += connection.line.is_cut
            self._silent += connection.line.is_silent

    def _refusal(self, websocket: WebSocket) -> JSONResponse | None:
        version = websocket.path_params.get("version")
        if version is not None and not _VERSION.fullmatch(version):
            return _error(400, "InvalidClientVersion", "The client version in the path is not of the form 1.2.3.")
        if not self._origins.admits(websocket.headers.get("origin"), websocket.headers.get("host")):
            return _error(403, "OriginNotAllowed", "This page may not connect here. See ALLOWED_ORIGINS.")
        if self.is_draining:
            return _error(
                503, "GoingAway", "This server is about to stop. Please connect again: another one takes over."
            )
        if len(self._workers) >= MAX_SOCKETS:
            self._full += 1
            return _error(503, "TooManyConcurrentRequests", "Too many connections. Please try again in a moment.")
        return None


def _client(connection: HTTPConnection) -> str:
    """The client's name and version: from its header, else npm at the version in the path (sync-protocol 1.1)."""
    return connection.headers.get("convex-client") or f"npm-{connection.path_params.get('version', '')}"


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"code": code, "message": message}, status)
