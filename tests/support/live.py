"""`LiveClient`: a person with our client machine on a real socket; what tests use to be ana, ben, or a visitor.

Invariant: `steps` holds everything the person was ever shown, one step for each transition; a mutation returns only once
its effect is on the screens.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from uuid import uuid4

import httpx
import msgspec
from msgspec import Raw
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from subscriptions.client import ClientMachine
from subscriptions.events import (
    ActionSettled,
    Advanced,
    AuthRejected,
    ClientEvent,
    Fatal,
    MutationSettled,
    QueryChanged,
    Trouble,
)
from subscriptions.version import StateVersion
from tests.support.http import http_client
from tests.support.pictures import jpeg
from tests.support.world import World

Value: TypeAlias = Any
"""What a function returned, as JSON is read."""

DEADLINE_S = 20.0
"""For anything a test waits for; reaching it is a failure and says what was last seen."""
CLIENT_VERSION = "1.48.0"
MAX_FRAME_BYTES = 32 << 20


class Refusal(Exception):
    """A function refused: its code (empty for what is no application error), its message, its data."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.message)
        self.message = trouble.message
        self.data: Value = None if trouble.data is None else json.loads(bytes(trouble.data))
        code = self.data.get("code") if isinstance(self.data, dict) else None
        self.code: str = code if isinstance(code, str) else ""


class Gone(Exception):
    """The server ended the conversation; the text says with which words."""


class Step(msgspec.Struct, frozen=True):
    """One transition: where it led, which queries changed in it, and all answers as they were then."""

    version: StateVersion
    changed: frozenset[int]
    shown: dict[int, Raw | Trouble]

    def value(self, screen: Screen) -> Value:
        """What this screen showed then."""
        return _value(self.shown[screen.query_id])


class Screen:
    """One watched query, as the person sees it."""

    def __init__(self, client: LiveClient, query_id: int) -> None:
        self._client, self.query_id = client, query_id
        self._seen = 0
        self.answers: list[Raw | Trouble] = []

    def __repr__(self) -> str:
        return f"<Screen {self.query_id}, {len(self.answers)} answers>"

    @property
    def value(self) -> Value:
        """What is shown now. Raises `Refusal` if that is a refusal."""
        return _value(self.answers[-1])

    @property
    def values(self) -> list[Value]:
        """Everything that was shown, in order. Raises `Refusal` if a refusal was among it."""
        return [_value(answer) for answer in self.answers]

    async def next(self) -> Value:
        """The first answer that was not returned before."""
        await self._client.turned(lambda: len(self.answers) > self._seen, lambda: f"nothing new on {self!r}")
        self._seen += 1
        return _value(self.answers[self._seen - 1])

    async def until(self, wanted: Callable[[Value], bool]) -> Value:
        """What is shown once it is as wanted, now or later."""
        await self._client.turned(
            lambda: bool(self.answers) and wanted(_value(self.answers[-1])),
            lambda: f"shown last: {self.answers and _value(self.answers[-1])}",
        )
        self._seen = len(self.answers)
        return self.value


class LiveClient:
    """One person's client. Made by `world_client`."""

    def __init__(self, world: World, subject: str | None, token: str | None, http: httpx.AsyncClient) -> None:
        self.world, self.subject, self.http = world, subject, http
        self._machine = ClientMachine(uuid4())
        self._machine.authenticate(token)
        self._screens: dict[int, list[Screen]] = {}
        self._settled: dict[int, asyncio.Future[Value]] = {}
        self._line: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._turn = asyncio.Event()
        self._end: Exception | None = None
        self.steps: list[Step] = []

    def __repr__(self) -> str:
        return f"<LiveClient {self.subject} {self._machine!r}>"

    async def connect(self) -> None:
        """Open a socket, the first or another one."""
        address = f"{self.world.url.replace('http', 'ws', 1)}/api/{CLIENT_VERSION}/sync"
        self._line = await connect(address, proxy=None, max_size=MAX_FRAME_BYTES, compression=None)
        self._reader = asyncio.create_task(self._read(self._line), name=f"screen of {self.subject}")
        await self._send(self._machine.connect())

    async def disconnect(self) -> None:
        """Lose the socket; what was asked stays asked."""
        if self._line is not None and self._reader is not None:
            await self._line.close()
            await self._reader
            self._line = self._reader = None
            self._tell(self._machine.disconnect())

    async def sign_in(self, token: str | None) -> None:
        """Be somebody else from here on, or nobody."""
        await self._send(self._machine.authenticate(token))

    async def mutation(self, path: str, **args: Value) -> Value:
        """Change something; returns once the change is on all screens of this client. Raises `Refusal`."""
        return await self._request(*self._machine.mutation(path, args))

    async def action(self, path: str, **args: Value) -> Value:
        """Have something done in the outside world. Raises `Refusal`."""
        return await self._request(*self._machine.action(path, args))

    async def watch(self, path: str, **args: Value) -> Screen:
        """Put a query on the screen; returns with its first answer shown, be it a refusal."""
        query_id, frames = self._machine.subscribe(path, args)
        screen = Screen(self, query_id)
        held = self._machine.answer(query_id)
        if held is not None:
            screen.answers.append(held)
        self._screens.setdefault(query_id, []).append(screen)
        await self._send(frames)
        await self.turned(lambda: bool(screen.answers), lambda: f"no answer to {path}")
        screen._seen = len(screen.answers)
        return screen

    async def forget(self, screen: Screen) -> None:
        """Take a query off the screen."""
        self._screens[screen.query_id].remove(screen)
        await self._send(self._machine.unsubscribe(screen.query_id))

    async def query_once(self, path: str, **args: Value) -> Value:
        """What a query answers now. Raises `Refusal`."""
        screen = await self.watch(path, **args)
        await self.forget(screen)
        return screen.value

    async def upload(self, photo: bytes) -> str:
        """Upload a file as the page does; its storage id."""
        address = await self.mutation("images:generateUploadUrl")
        reply = await self.http.post(address, content=photo, headers={"Content-Type": "image/jpeg"})
        storage_id: str = reply.raise_for_status().json()["storageId"]
        return storage_id

    async def photo(self) -> str:
        """Upload a small photo and ask for its drawing; the original's id."""
        storage_id = await self.upload(jpeg())
        image_id: str = await self.mutation("images:uploadAndScheduleGeneration", storageId=storage_id)
        return image_id

    async def turned(self, holds: Callable[[], bool], otherwise: Callable[[], str]) -> None:
        """Wait until something holds; it is looked at after each message."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not holds():
                    if self._end is not None:
                        raise self._end
                    await self._turn.wait()
        except TimeoutError:
            raise AssertionError(f"It did not come about for {self!r}: {otherwise()}") from None

    async def _request(self, request_id: int, frames: list[bytes]) -> Value:
        settled: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        self._settled[request_id] = settled
        await self._send(frames)
        await self.turned(settled.done, lambda: f"request {request_id} has not settled")
        return await settled

    async def _send(self, frames: list[bytes]) -> None:
        if self._line is not None:
            for frame in frames:
                await self._line.send(frame.decode())

    async def _read(self, line: ClientConnection) -> None:
        try:
            async for frame in line:
                self._tell(self._machine.receive(frame if isinstance(frame, bytes) else frame.encode()))
        except ConnectionClosed as closed:
            self._leave(Gone(str(closed)))
        except Exception as error:
            self._leave(error)

    def _leave(self, reason: Exception) -> None:
        self._end = reason
        self._turn.set()

    def _tell(self, events: list[ClientEvent]) -> None:
        changed: set[int] = set()
        for event in events:
            match event:
                case QueryChanged(query_id, answer):
                    changed.add(query_id)
                    for screen in self._screens.get(query_id, ()):
                        screen.answers.append(answer)
                case Advanced(version):
                    shown = {
                        query_id: screens[0].answers[-1]
                        for query_id, screens in self._screens.items()
                        if screens and screens[0].answers
                    }
                    self.steps.append(Step(version, frozenset(changed), shown))
                case MutationSettled(request_id, outcome) | ActionSettled(request_id, outcome):
                    self._settle(self._settled.pop(request_id), outcome)
                case AuthRejected(sentence) | Fatal(sentence):
                    self._end = Gone(sentence)
        before, self._turn = self._turn, asyncio.Event()
        before.set()

    def _settle(self, waiting: asyncio.Future[Value], outcome: Raw | Trouble) -> None:
        if waiting.done():
            return
        if isinstance(outcome, Trouble):
            waiting.set_exception(Refusal(outcome))
            waiting.exception()  # seen, also when the test that asked has failed meanwhile
        else:
            waiting.set_result(_value(outcome))


def _value(answer: Raw | Trouble) -> Value:
    if isinstance(answer, Trouble):
        raise Refusal(answer)
    return json.loads(bytes(answer))


@asynccontextmanager
async def world_client(
    world: World, subject: str | None = None, *, admin: bool = False, token: str | None = None
) -> AsyncIterator[LiveClient]:
    """A connected person: a visitor without a subject, an administrator with `admin`."""
    if subject is not None and token is None:
        token = await world.token(subject, admin=admin)
    async with http_client(timeout=DEADLINE_S) as http:
        client = LiveClient(world, subject, token, http)
        await client.connect()
        try:
            yield client
        finally:
            await client.disconnect()
