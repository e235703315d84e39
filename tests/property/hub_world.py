"""Many clients of one real hub, each with a real worker; a database of counters behind it, a network of memory before it.

Everything that must hold after every frame is asserted here. Time is the loop's, and passes only when nothing else can happen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw

from schema.errors import SnapshotGone, StoreUnavailable
from schema.keys import BY_ID, KeyRange, key_of
from schema.readset import Commit, ReadSet, Touch, WriteSet
from schema.values import ZERO, Millis, Timestamp
from subscriptions import protocol
from subscriptions.answers import Question
from subscriptions.client import ClientMachine
from subscriptions.effects import Failed, Returned, RunAction, RunMutation, Succeeded, Undecided, Value
from subscriptions.events import AuthRejected, Fatal, MutationSettled, Trouble
from subscriptions.hub import Evaluated, Hub
from subscriptions.log import Log
from subscriptions.seams import Rejected, Verified
from subscriptions.sync import SyncMachine
from subscriptions.version import StateVersion, decode_timestamp
from subscriptions.worker import SocketWorker
from tests.property.counters import ANYONE, Store
from tests.support.virtual import MemoryLine, VirtualLoop

TOKENS: dict[str, tuple[str, Millis | None]] = {
    "token-ana": ("ana", None),
    "token-bob": ("bob", None),
    "token-short": ("ana", 2_000.0),
}
"""Whose, and for how many milliseconds."""
LATE_MS = 500.0
"""A refresh that began in time may end so much after the token."""
TIMED_MS = 250.0
TABLE = "images"
"""Any that exists: counters are taken for its rows."""


def facet(caller: str, name: str) -> str:
    return caller


class Client:
    """One client and the socket it has now."""

    def __init__(self, world: HubWorld, number: int) -> None:
        self.world, self.number = world, number
        self.machine = ClientMachine(UUID(int=number))
        self.line: ClientLine | None = None
        self.queries: dict[int, tuple[str, str]] = {}
        self.wants: list[int] = []
        self.keys: dict[int, str] = {}
        self.settled: set[int] = set()
        self.told: Timestamp = ZERO

    def __repr__(self) -> str:
        return f"<Client {self.number} {self.machine!r} {self.line!r}>"

    def connect(self) -> None:
        if self.line is None:
            self.line = ClientLine(self)
            self.line.start(self.machine.connect(client_ts=int(self.world.loop.clock())))

    def drop(self) -> None:
        line, self.line = self.line, None
        if line is not None:
            line.over()
            line.upstream.put_nowait(None)
            self.machine.disconnect()

    def post(self, frames: list[bytes]) -> None:
        if self.line is not None:
            self.line.post(frames)

    def subscribe(self, path: str, key: str) -> None:
        query_id, frames = self.machine.subscribe(path, {"key": key})
        self.queries[query_id] = (path, key)
        self.wants.append(query_id)
        self.post(frames)

    def unsubscribe(self, choice: int) -> None:
        if self.wants:
            self.post(self.machine.unsubscribe(self.wants.pop(choice % len(self.wants))))

    def mutate(self, key: str) -> None:
        request_id, frames = self.machine.mutation("counter:add", {"key": key})
        self.keys[request_id] = key
        self.post(frames)

    def act(self) -> None:
        self.post(self.machine.action("counter:ask", {})[1])

    def authenticate(self, token: str | None) -> None:
        self.post(self.machine.authenticate(token))

    def hears(self, frame: bytes) -> None:
        """Take a frame in, and hold what is on the screen then against the oracle."""
        line = self.line
        assert line is not None
        message = msgspec.json.decode(frame, type=protocol.ServerMessage)
        if isinstance(message, protocol.Transition):
            line.check(message, self.machine.version)
            line.transitions += 1
        if isinstance(message, protocol.MutationResponse) and message.ts is not None:
            line.answered = max(line.answered, decode_timestamp(message.ts))
        for event in self.machine.receive(frame):
            match event:
                case MutationSettled(request_id, outcome):
                    assert request_id not in self.settled
                    self.settled.add(request_id)
                    assert not isinstance(outcome, Trouble)
                    assert self.machine.version.ts >= self.world.receipts[self.number, request_id]
                case AuthRejected():
                    self.world.loop.call_soon(self.start_over)
                case Fatal(sentence):
                    raise AssertionError(sentence)
                case _:
                    pass
        if isinstance(message, protocol.Transition):
            version = self.machine.version
            assert version.ts >= self.told, "a timestamp went backwards"
            self.told = version.ts
            self.agree(version.ts)

    def start_over(self) -> None:
        self.drop()
        self.authenticate(None)
        self.connect()

    def agree(self, ts: Timestamp) -> None:
        """Every answer the client holds is the one that running its query at `ts` gives."""
        line, version = self.line, self.machine.version
        assert line is not None
        caller = line.callers[version.identity]
        for query_id in set(self.wants):
            if line.query_sets.get(query_id, 0) > version.query_set:
                continue
            path, key = self.queries[query_id]
            meant = self.world.meant(path, key, ts)
            expected = self.world.store.run(meant, key, caller, ts, self.machine.journal(query_id))
            wanted = expected.value if isinstance(expected, Value) else Trouble(expected.message)
            assert self.machine.answer(query_id) == wanted, (self, path, key, ts)


class ClientLine(MemoryLine):
    """Both directions of one socket. What goes wrong is kept for the world to raise."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client
        self.upstream: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.callers = [ANYONE]
        self.lapses: list[Millis | None] = [None]
        self.query_sets: dict[int, int] = {}
        self.answered: Timestamp = ZERO
        self.committed: Timestamp | None = None  # by a mutation that is still to be answered here
        self.transitions = 0
        self.machine: SyncMachine[str] = SyncMachine(ANYONE)

    @property
    def line(self) -> ClientLine:
        return self

    def start(self, frames: list[bytes]) -> None:
        """Open the socket and say this."""
        self.post(frames)
        world = self.client.world
        worker = SocketWorker(
            self, self.machine, world.hub, world.calls(self), spawn=world.spawn, clock=world.loop.clock
        )
        world.spawn(self._served(worker))

    async def _served(self, worker: SocketWorker[str]) -> None:
        await worker.run()
        assert self.client.line is not self, f"{worker} gave up a client that had not left"

    def post(self, frames: list[bytes]) -> None:
        for frame in frames:
            message = protocol.parse(frame)
            if isinstance(message, protocol.Authenticate):
                name, lifetime = (ANYONE, None) if message.value is None else TOKENS.get(message.value, ("", None))
                self.callers.append(name)
                self.lapses.append(None if lifetime is None else self.client.world.loop.clock() + lifetime)
            if isinstance(message, protocol.ModifyQuerySet):
                added = [each.query_id for each in message.modifications if isinstance(each, protocol.Add)]
                self.query_sets.update(dict.fromkeys(added, message.new_version))
            self.upstream.put_nowait(frame)

    async def receive(self) -> str | bytes | None:
        return await self.upstream.get()

    async def close(self, code: int, reason: str) -> None:
        assert code == 1000, f"{code} {reason}"
        if self.client.line is self:
            self.client.start_over()

    def abort(self) -> None:
        super().abort()
        if self.client.line is self:
            self.client.drop()

    def heard(self, frame: bytes) -> None:
        try:
            self.client.hears(frame)
            self.machine.validate()
        except Exception as error:  # the worker would take it for trouble of its own
            self.client.world.wrong.append(error)

    def check(self, message: protocol.Transition, held: StateVersion) -> None:
        assert StateVersion.of(message.start_version) == held, "not where the last one ended"
        end = StateVersion.of(message.end_version)
        assert end.ts >= self.answered, "a transition follows an answer without reaching it"
        assert self.committed is None or end.ts < self.committed, "a transition overtakes the answer to its mutation"
        for each in message.modifications:
            if isinstance(each, protocol.QueryUpdated) and each.query_id in self.client.wants:
                assert self.client.machine.journal(each.query_id) in (None, each.journal), "a page lost its end"
        assert end.ts <= self.client.world.hub.position
        lapse = self.lapses[end.identity]
        assert lapse is None or self.client.world.loop.clock() < lapse + LATE_MS, "shown to one whose token has run out"


class Product:
    """What a socket's worker calls."""

    def __init__(self, world: HubWorld, line: ClientLine) -> None:
        self._world, self._line = world, line

    async def verify(self, token: str) -> Verified[str] | Rejected:
        await asyncio.sleep(self._world.latency)
        if token not in TOKENS:
            return Rejected("Nobody knows this token.")
        name, lifetime = TOKENS[token]
        return Verified(name, None if lifetime is None else self._world.loop.clock() + lifetime)

    async def mutate(
        self, mutation: RunMutation[str], committing: Callable[[], None]
    ) -> Succeeded | Failed | Undecided:
        world, client = self._world, self._line.client
        await asyncio.sleep(world.latency)
        receipt = (client.number, mutation.request_id)
        committing()
        await asyncio.sleep(world.latency)
        if receipt not in world.receipts:
            self._line.committed = world.receipts[receipt] = world.store.commit(client.keys[mutation.request_id])
        await asyncio.sleep(world.latency)
        self._line.committed = None
        return Succeeded(Raw(b'"done"'), world.receipts[receipt])

    async def act(self, action: RunAction[str]) -> Returned | Failed:
        await asyncio.sleep(self._world.latency)
        return Returned(Raw(b"null"))


class HubWorld:
    """The hub, its feed, its database and its clients."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.store = Store()
        self.latency = 0.0
        self.troubles: list[Exception] = []
        self.wrong: list[BaseException] = []
        self.receipts: dict[tuple[int, int], Timestamp] = {}
        self.clients: list[Client] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.hub: Hub[str] = Hub(
            Log(self.store.position), self.evaluate, facet=facet, nudge=self.nudged, clock=self.loop.clock
        )
        self.hub.fan_outs.slice = 3  # so that everything can happen in the middle of one

    def calls(self, line: ClientLine) -> Product:
        return Product(self, line)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.wrong.append(error)

    async def evaluate(self, question: Question, caller: str, ts: Timestamp) -> Evaluated:
        await asyncio.sleep(self.latency)
        if self.troubles:
            raise self.troubles.pop()
        key = msgspec.json.decode(question.arguments)["key"]
        path = self.meant(question.path, key, ts)
        reads = ReadSet(
            (KeyRange(TABLE, BY_ID, key_of(key)),),
            frozenset({"caller"}) if path == "counter:mine" else frozenset(),
            self.loop.clock() + TIMED_MS if question.path == "counter:timed" else None,
        )
        return Evaluated(self.store.run(path, key, caller, ts, question.journal), reads)

    def meant(self, path: str, key: str, ts: Timestamp) -> str:
        """Two queries more: one whose answer does not keep, and one that looks at who asks only now and then."""
        if path == "counter:moody":
            return "counter:mine" if self.store.at(key, ts) % 2 else "counter:read"
        return "counter:read" if path == "counter:timed" else path

    def nudged(self) -> None:
        """Somebody waits for the feed: it comes, and a pulse with it."""
        self.loop.call_soon(self.pulse)

    def pulse(self) -> None:
        """The feed comes up to date and moves on, though nothing has changed."""
        self.deliver_all()
        self.store.now = self.store.position = Timestamp(self.store.now + 1)
        self.hub.deliver((), self.store.position)

    def deliver(self, count: int = 1) -> None:
        """The feed brings so many commits, at once."""
        told = [self.store.untold.popleft() for _ in range(min(count, len(self.store.untold)))]
        if told:
            self.store.position = told[-1][0]
            commits = [Commit(ts, WriteSet(frozenset({Touch(TABLE, BY_ID, key_of(key))}))) for ts, key in told]
            self.hub.deliver(commits, self.store.position)

    def deliver_all(self) -> None:
        self.deliver(len(self.store.untold))

    def commit(self, key: str) -> None:
        """Somebody outside changes something."""
        self.store.commit(key)

    def lose(self) -> None:
        """The feed has lost its place; any commit may have happened."""
        self.store.untold.clear()
        self.store.position = self.store.now
        self.hub.lost(self.store.now)

    def trouble(self, gone: bool) -> None:
        self.troubles.append(SnapshotGone("too long ago") if gone else StoreUnavailable("no database"))
        if gone:  # it is only ever gone because newer ones exist
            self.store.commit("b")

    async def settle(self) -> None:
        """Everybody reads, the feed has come, trouble is over, and nothing is left to do."""
        self.troubles.clear()
        for client in self.clients:
            client.connect()
            if client.line is not None and client.line.capacity is not None:
                client.line.drain()
        for _ in range(4):
            self.deliver_all()
            await asyncio.sleep(1.5)  # a hold, a retry and all latencies have ended
        self.check()
        for client in self.clients:
            assert client.line is not None
            assert not client.machine.unsettled, client
            assert not client.line.machine.dirty, client
            client.agree(client.machine.version.ts)
            client.agree(self.store.now)

    def check(self) -> None:
        if self.wrong:
            raise self.wrong[0]

    async def close(self) -> None:
        for client in self.clients:
            client.drop()
        await asyncio.sleep(10.0)
        await self.hub.close()
        assert not self._tasks
        assert not any(answer.watchers for answer in self.hub.answers), "somebody who has left still watches"
