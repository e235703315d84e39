"""`Mirror`: what one bare socket was told, folded by the letter of the protocol and by none of our own code.

Invariant: every transition begins where the last one ended and time never falls, or reading it fails.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import msgspec
from websockets.exceptions import ConnectionClosed

from tests.support.raw import Message, RawSocket, raw_socket
from tests.support.world import World

Value: TypeAlias = Any
"""What a function returned, as JSON is read."""
Asked: TypeAlias = tuple[str, Message]
"""A query: its path and its arguments."""

DEADLINE_S = 60.0
CLIP = 200
START: Message = {"querySet": 0, "identity": 0, "ts": "AAAAAAAAAAA="}


class Moment(msgspec.Struct, frozen=True):
    """One transition: the time it led to, the queries it mentioned, and everything shown then, as text."""

    ts: int
    identity: int
    changed: frozenset[int]
    shown: dict[int, str]

    def value(self, query_id: int) -> Value:
        """What this query showed."""
        return json.loads(self.shown[query_id])


class Settled(msgspec.Struct, frozen=True):
    """The answer to a mutation: whether it succeeded, when it committed, and how many transitions had come before it."""

    success: bool
    ts: int
    after: int
    result: Value


class Mirror:
    """One socket, its queries and mutations numbered from 0, and all that came of them."""

    def __init__(self, socket: RawSocket) -> None:
        self._socket = socket
        self._version, self._query_set = START, 0
        self._claims = self._mutations = 0
        self._turn = asyncio.Event()
        self._end: Exception | None = None
        self.moments: list[Moment] = []
        self.settled: dict[int, Settled] = {}

    def __repr__(self) -> str:
        return f"<Mirror {len(self.moments)} moments, {len(self.settled)} of {self._mutations} mutations settled>"

    @property
    def now(self) -> Moment:
        """What is shown now."""
        return self.moments[-1]

    async def claim(self, token: str) -> None:
        """Be the token's owner from here on."""
        await self._socket.authenticate(token, self._claims)
        self._claims += 1

    async def watch(self, *asked: Asked) -> None:
        """Watch these queries, all in one edit and instead of none; returns when all are answered."""
        added = [
            {"type": "Add", "queryId": number, "udfPath": path, "args": [args]}
            for number, (path, args) in enumerate(asked)
        ]
        version = {"baseVersion": self._query_set, "newVersion": self._query_set + 1}
        self._query_set += 1
        await self._socket.send({"type": "ModifyQuerySet", **version, "modifications": added})
        await self.until(lambda: bool(self.moments) and len(self.now.shown) == len(asked))

    async def ask(self, path: str, **args: Value) -> int:
        """Send a mutation; its number."""
        number, self._mutations = self._mutations, self._mutations + 1
        await self._socket.mutate(number, path, args)
        return number

    async def mutate(self, path: str, **args: Value) -> Settled:
        """Send a mutation; its answer, once a transition has followed it."""
        return await self.ended(await self.ask(path, **args))

    async def answered(self, number: int) -> Settled:
        """The answer to a mutation."""
        await self.until(lambda: number in self.settled)
        return self.settled[number]

    async def ended(self, number: int) -> Settled:
        """The answer to a mutation, once a transition has followed it."""
        answer = await self.answered(number)
        await self.until(lambda: len(self.moments) > answer.after)
        return answer

    async def reaches(self, ts: int) -> None:
        """Wait for a transition to this time or a later one."""
        await self.until(lambda: bool(self.moments) and self.now.ts >= ts)

    async def becomes(self, identity: int) -> None:
        """Wait for a transition to this version of the identity."""
        await self.until(lambda: bool(self.moments) and self.now.identity == identity)

    async def shows(self, query_id: int, wanted: Callable[[Value], bool]) -> None:
        """Wait until a query shows what is wanted."""
        await self.until(lambda: query_id in self.now.shown and wanted(self.now.value(query_id)))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; it is looked at after each message."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not holds():
                    if self._end is not None:
                        raise self._end
                    await self._turn.wait()
        except TimeoutError:
            raise AssertionError(f"It did not come about for {self!r}, shown last: {self._last()}") from None

    async def read(self) -> None:
        """Take in messages to the end of the socket."""
        try:
            while True:
                self._hear(await self._socket.receive())
                self._wake()
        except (ConnectionClosed, TimeoutError, AssertionError) as error:
            self._end = error
            self._wake()

    def _last(self) -> str:
        return (
            ", ".join(f"{query}: {text[:CLIP]}" for query, text in self.now.shown.items())
            if self.moments
            else "nothing"
        )

    def _wake(self) -> None:
        before, self._turn = self._turn, asyncio.Event()
        before.set()

    def _hear(self, message: Message) -> None:
        match message["type"]:
            case "Transition":
                self._move(message)
            case "MutationResponse":
                number = message["requestId"]
                assert number not in self.settled, f"mutation {number} was answered twice"
                ts = number_of(message["ts"]) if message.get("ts") else 0
                after = len(self.moments)
                self.settled[number] = Settled(message["success"], ts, after, message["result"])
            case "Ping":
                return
            case other:
                raise AssertionError(f"{other} was not expected: {message}")

    def _move(self, message: Message) -> None:
        start, end = message["startVersion"], message["endVersion"]
        assert start == self._version, f"a transition from {start} came to {self._version}"
        ts = number_of(end["ts"])
        assert ts >= number_of(start["ts"]), f"time fell from {start} to {end}"
        shown = dict(self.moments[-1].shown) if self.moments else {}
        for change in message["modifications"]:
            # Failures are kept as what they say, which no value looks like: it begins with neither a quote nor a bracket.
            is_value = change["type"] == "QueryUpdated"
            shown[change["queryId"]] = json.dumps(change["value"]) if is_value else f"!{change['errorMessage']}"
        changed = frozenset(change["queryId"] for change in message["modifications"])
        self._version = end
        self.moments.append(Moment(ts, end["identity"], changed, shown))


def number_of(ts: str) -> int:
    """A timestamp of the wire as a number (sync-protocol 2)."""
    return int.from_bytes(base64.b64decode(ts), "little")


@asynccontextmanager
async def mirror(world: World, subject: str | None = None, *, admin: bool = False) -> AsyncIterator[Mirror]:
    """A bare socket that is being read: a visitor's without a subject, an administrator's with `admin`."""
    async with raw_socket(world) as socket:
        opened = Mirror(socket)
        reader = asyncio.create_task(opened.read())
        try:
            if subject is not None:
                await opened.claim(await world.token(subject, admin=admin))
            yield opened
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
