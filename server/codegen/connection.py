"""The line that a generated Python client speaks over: our client machine on a socket that is opened again when it breaks.

Invariant: frames leave in the order in which the machine made them, and what is asked while the line is down is asked when it
is up again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Generator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

from msgspec import Raw
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from server.codegen.errors import CallFailed, LineClosed, error_of
from server.codegen.reading import read
from server.ids import session_id
from subscriptions.client import ClientMachine, Kind
from subscriptions.errors import RemoteProtocolError
from subscriptions.events import ActionSettled, AuthRejected, ClientEvent, Fatal, MutationSettled, Trouble
from subscriptions.version import START

T = TypeVar("T")

CLIENT_VERSION = "1.48.0"
"""Of the published client whose protocol this is."""
MAX_FRAME_BYTES = 32 << 20
OPEN_TIMEOUT_S = 10.0
FIRST_PAUSE_S, MAX_PAUSE_S = 0.1, 15.0
CLOSED = LineClosed("The client was closed.")


class Connection:
    """One person's line. Made by `connected`; `spread`, from 0 to 1, keeps clients of one server from returning all at once."""

    __slots__ = ("_address", "_end", "_machine", "_outbox", "_settled", "_spread", "_turn")

    def __init__(self, url: str, machine: ClientMachine, spread: float) -> None:
        self._address = f"{url.rstrip('/').replace('http', 'ws', 1)}/api/{CLIENT_VERSION}/sync"
        self._machine, self._spread = machine, spread
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._settled: dict[int, asyncio.Future[Raw]] = {}
        self._turn = asyncio.Event()
        self._end: CallFailed | None = None

    def __repr__(self) -> str:
        return f"<Connection {self._address} {self._end or self._machine!r}>"

    def sign_in(self, token: str | None) -> None:
        """Be the token's owner from here on, or nobody."""
        self._send(self._machine.authenticate(token))

    async def request(self, kind: Kind, path: str, arguments: Mapping[str, object]) -> Raw:
        """Have something done, once, however often the line breaks. Raises `CallFailed`."""
        ask = self._machine.mutation if kind == "mutation" else self._machine.action
        if self._end is not None:
            raise self._end
        request_id, frames = ask(path, arguments)
        settled: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        self._settled[request_id] = settled
        self._send(frames)
        return await settled

    async def answers(self, path: str, arguments: Mapping[str, object]) -> AsyncGenerator[Raw, None]:
        """The answer to a query now, and the newest whenever there is another. Raises `CallFailed`."""
        query_id, frames = self._machine.subscribe(path, arguments)
        self._send(frames)
        seen: Raw | Trouble | None = None
        try:
            while True:
                while (answer := self._machine.answer(query_id)) is seen:
                    if self._end is not None:
                        raise self._end
                    await self._turn.wait()
                seen = answer
                if isinstance(answer, Raw):
                    yield answer
                elif answer is not None:
                    raise error_of(answer)
        finally:
            self._send(self._machine.unsubscribe(query_id))

    async def keep(self) -> None:
        """Hold the line until the server ends the conversation."""
        pause_s, reason = FIRST_PAUSE_S, "InitialConnect"
        try:
            while self._end is None:
                try:
                    async with connect(
                        self._address, proxy=None, max_size=MAX_FRAME_BYTES, open_timeout=OPEN_TIMEOUT_S
                    ) as line:
                        await self._converse(line, reason)
                    reason = "ClosedByServer"
                except* (OSError, WebSocketException, RemoteProtocolError) as broken:
                    reason = str(broken.exceptions[0])
                pause_s = FIRST_PAUSE_S if self._machine.version != START else min(2 * pause_s, MAX_PAUSE_S)
                self._tell(self._machine.disconnect())
                if self._end is None:
                    await asyncio.sleep(pause_s * (0.5 + self._spread))
        finally:
            self.leave(CLOSED)

    def leave(self, reason: CallFailed) -> None:
        """End everything that waits."""
        self._end = self._end or reason
        for settled in self._settled.values():
            if not settled.done():
                settled.set_exception(self._end)
        self._settled.clear()
        self._stir()

    async def _converse(self, line: ClientConnection, reason: str) -> None:
        """Speak over one socket until it closes."""
        self._outbox = asyncio.Queue()  # what an earlier socket did not take, the machine says again
        self._send(self._machine.connect(reason=reason))
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(self._speak(line), name="frames to the server")
            async for frame in line:
                self._tell(self._machine.receive(frame if isinstance(frame, bytes) else frame.encode()))
                if self._end is not None:
                    break
            sending.cancel()

    async def _speak(self, line: ClientConnection) -> None:
        while True:
            await line.send((await self._outbox.get()).decode())

    def _send(self, frames: list[bytes]) -> None:
        for frame in frames:
            self._outbox.put_nowait(frame)

    def _tell(self, events: list[ClientEvent]) -> None:
        for event in events:
            match event:
                case MutationSettled(request_id, outcome) | ActionSettled(request_id, outcome):
                    self._settle(self._settled.pop(request_id), outcome)
                case AuthRejected(sentence) | Fatal(sentence):
                    self.leave(LineClosed(sentence))
                case _:
                    pass
        self._stir()

    def _settle(self, settled: asyncio.Future[Raw], outcome: Raw | Trouble) -> None:
        if settled.done():  # who asked has stopped waiting
            return
        if isinstance(outcome, Trouble):
            settled.set_exception(error_of(outcome))
        else:
            settled.set_result(outcome)

    def _stir(self) -> None:
        before, self._turn = self._turn, asyncio.Event()
        before.set()


class Live(Awaitable[T]):
    """A query: `await` it for its answer now, or iterate for the newest answer whenever there is another."""

    __slots__ = ("_arguments", "_connection", "_path", "_shape")

    def __init__(self, connection: Connection, path: str, arguments: Mapping[str, object], shape: object) -> None:
        self._connection, self._path, self._arguments, self._shape = connection, path, arguments, shape

    def __repr__(self) -> str:
        return f"<Live {self._path}>"

    def __await__(self) -> Generator[Any, None, T]:
        return self._once().__await__()

    async def __aiter__(self) -> AsyncIterator[T]:
        async with aclosing(self._connection.answers(self._path, self._arguments)) as answers:
            async for answer in answers:
                yield read(answer, self._shape)

    async def _once(self) -> T:
        async with aclosing(self._connection.answers(self._path, self._arguments)) as answers:
            now: T = read(await anext(answers), self._shape)
        return now


class Call(Awaitable[T]):
    """A mutation or an action: `await` it for what came of it. It is asked for when it is awaited."""

    __slots__ = ("_arguments", "_connection", "_kind", "_path", "_shape")

    def __init__(
        self, connection: Connection, kind: Kind, path: str, arguments: Mapping[str, object], shape: object
    ) -> None:
        self._connection, self._kind, self._path = connection, kind, path
        self._arguments, self._shape = arguments, shape

    def __repr__(self) -> str:
        return f"<Call {self._path}>"

    def __await__(self) -> Generator[Any, None, T]:
        return self._outcome().__await__()

    async def _outcome(self) -> T:
        came: T = read(await self._connection.request(self._kind, self._path, self._arguments), self._shape)
        return came


@asynccontextmanager
async def connected(url: str, token: str | None = None) -> AsyncIterator[Connection]:
    """A line to the server at `url` for as long as the block runs; it is tried again and again until it stands."""
    session = session_id()
    connection = Connection(url, ClientMachine(session), spread=session.node / 2**48)
    connection.sign_in(token)
    keeper = asyncio.create_task(connection.keep(), name=f"line to {url}")
    try:
        yield connection
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])
        connection.leave(CLOSED)
    if not keeper.cancelled():
        keeper.result()
