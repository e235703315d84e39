"""The sync endpoint: one WebSocket, carried between the client and a `SocketWorker`."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from schema.values import Millis, seconds
from server.caller import Callers
from server.calls import SocketCalls
from server.errors import RateLimited
from server.executor import Caller, Executor
from server.limits import Bounds, Limits, Seats, per_minute
from server.web.addresses import address_of
from server.web.origins import Origins
from server.web.refusals import RefusalResponse, limited
from subscriptions.hub import Hub
from subscriptions.sync import SyncMachine
from subscriptions.transition import accepts_chunks
from subscriptions.worker import SocketWorker

MAX_SOCKETS = 20_000
SEAT_RETRY: Millis = seconds(5)
"""Nobody knows when another socket of the same address closes."""
_VERSION = re.compile(r"^(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?:[-+][0-9A-Za-z.+-]{1,64})?$")


class Connection:
    """A client's WebSocket as the worker needs it. A client that is gone takes no more frames and sends none."""

    __slots__ = ("_gone", "_websocket")

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._gone = False

    def __repr__(self) -> str:
        return f"<Connection {'gone' if self._gone else 'open'}>"

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

    async def send(self, frame: bytes) -> None:
        """Write one text frame."""
        if not self._gone:
            try:
                await self._websocket.send({"type": "websocket.send", "text": frame.decode()})
            except (WebSocketDisconnect, RuntimeError):
                self._gone = True

    async def close(self, code: int, reason: str) -> None:
        """Say good-bye."""
        if not self._gone:
            self._gone = True
            try:
                await self._websocket.close(code, reason)
            except (WebSocketDisconnect, RuntimeError):
                return


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
    ) -> None:
        self._hub, self._executor, self._callers, self._origins = hub, executor, callers, origins
        self._spawn, self._clock = spawn, clock
        self._workers: set[SocketWorker[Caller]] = set()
        self._limits, self._rate = limits, per_minute(bounds.sockets_per_minute_per_address)
        self._addresses, self._members = Seats(bounds.max_sockets_per_address), Seats(bounds.max_sockets_per_member)

    def __repr__(self) -> str:
        return f"<SyncEndpoint {len(self._workers)} sockets>"

    def __len__(self) -> int:
        return len(self._workers)

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
        worker = SocketWorker(Connection(websocket), machine, self._hub, calls, spawn=self._spawn, clock=self._clock)
        self._workers.add(worker)
        try:
            await worker.run()
        finally:
            self._workers.discard(worker)
            calls.leave()

    def _refusal(self, websocket: WebSocket) -> JSONResponse | None:
        version = websocket.path_params.get("version")
        if version is not None and not _VERSION.fullmatch(version):
            return _error(400, "InvalidClientVersion", "The client version in the path is not of the form 1.2.3.")
        if not self._origins.admits(websocket.headers.get("origin"), websocket.headers.get("host")):
            return _error(403, "OriginNotAllowed", "This page may not connect here. See ALLOWED_ORIGINS.")
        if len(self._workers) >= MAX_SOCKETS:
            return _error(503, "TooManyConcurrentRequests", "Too many connections. Please try again in a moment.")
        return None


def _client(connection: HTTPConnection) -> str:
    """The client's name and version: from its header, else npm at the version in the path (sync-protocol 1.1)."""
    return connection.headers.get("convex-client") or f"npm-{connection.path_params.get('version', '')}"


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"code": code, "message": message}, status)
