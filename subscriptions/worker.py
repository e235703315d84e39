"""The worker: drives one socket's `SyncMachine`. It waits, so that the machine need not.

Invariant: effects are performed in the order the machine gave them; frames leave in the order of the outbox; a mutation that
has begun outlives its socket.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from schema.errors import SnapshotGone, StoreUnavailable
from schema.values import Millis, Timestamp
from schema.wire import canonical_arguments
from subscriptions import protocol
from subscriptions.answers import Answer, Question
from subscriptions.effects import (
    Effect,
    Failed,
    Finish,
    Refresh,
    Returned,
    RunAction,
    RunMutation,
    Send,
    Succeeded,
    Undecided,
    Verify,
)
from subscriptions.errors import RemoteProtocolError, TooMany
from subscriptions.hub import Hub
from subscriptions.outbox import Outbox
from subscriptions.sync import SyncMachine

C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)

SETTLE_S = 0.005
"""Patience for the rest of a client's opening burst, so that it becomes one transition (sync-protocol 4.3)."""
DRAIN_S = 3.0
"""How long a client may take to close after an error, which some need to find their way (sync-protocol 6.3)."""
RETRY_S = 0.2

log = logging.getLogger("anime.socket")


class Verified(msgspec.Struct, Generic[C], frozen=True):
    """Whose token it is, and until when."""

    caller: C
    expires_at: Millis | None


class Rejected(msgspec.Struct, frozen=True):
    """The token is refused, in a sentence for the developer."""

    sentence: str


class Calls(Protocol[C]):
    """What the product does for a socket. None of these raises."""

    async def verify(self, token: str) -> Verified[C] | Rejected | TooMany:
        """Find out whom the token belongs to."""
        ...

    async def mutate(self, mutation: RunMutation[C], committing: Callable[[], None]) -> Succeeded | Failed | Undecided:
        """Run a mutation; `committing` is called once, before the first commit is sent."""
        ...

    async def act(self, action: RunAction[C]) -> Returned | Failed:
        """Run an action."""
        ...


class Socket(Protocol):
    """One client's WebSocket."""

    async def receive(self) -> str | bytes | None:
        """The next frame; None once the client is gone."""
        ...

    async def send(self, frame: bytes) -> None:
        """Write one text frame, waiting while the client is slow."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Say good-bye."""
        ...


class SocketWorker(Generic[C]):
    """One socket from its opening to its end."""

    def __init__(
        self,
        socket: Socket,
        machine: SyncMachine[C],
        hub: Hub[C],
        calls: Calls[C],
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        clock: Callable[[], Millis],
    ) -> None:
        self._socket, self._machine, self._hub, self._calls = socket, machine, hub, calls
        self._spawn, self._clock = spawn, clock
        self._outbox = Outbox(socket.send)
        self._shown: dict[int, Answer] = {}
        self._wake = asyncio.Event()
        self._end: asyncio.Future[Finish] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"<SocketWorker {self._machine!r}, {self._outbox!r}>"

    def invalidated(self, query_id: int) -> None:
        """The answer shown for this query is no longer the newest (called by the hub)."""
        self._shown.pop(query_id, None)
        self._machine.invalidate((query_id,))
        self._wake.set()

    async def run(self) -> None:
        """Serve the client until it leaves or must. Returns when the socket is done with; never raises for the client's doing."""
        reader = asyncio.create_task(self._read(), name="socket reader")
        tasks = {
            reader,
            asyncio.create_task(self._update(), name="socket updater"),
            asyncio.create_task(self._outbox.run(), name="socket writer"),
        }
        try:
            ends: set[asyncio.Future[Any]] = {*tasks, self._end}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._end.done():
                await self._finish(self._end.result(), reader)
            for task in tasks:
                if task.done() and not task.cancelled() and task.exception() is not None:
                    await self._broken(task.exception())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._leave()

    def end(self, code: int, reason: str) -> None:
        """End the socket from our side, for a restart."""
        self._finish_with(Finish(code, reason, drain=False))

    async def _read(self) -> None:
        while (frame := await self._socket.receive()) is not None:
            if self._machine.finished:
                continue
            try:
                effects = self._machine.receive(protocol.parse(frame), self._clock())
            except (RemoteProtocolError, TooMany) as error:
                log.info("socket refused: %s", error, extra={"action": "socket.refused"})
                effects = self._machine.fail(error)
            self._perform(effects)

    def _perform(self, effects: Iterable[Effect[C]]) -> None:
        for effect in effects:
            match effect:
                case Send(frame, transition):
                    self._outbox.put(frame, transition)
                case Verify(token):
                    self._spawn(self._verify(token))
                case RunMutation():
                    self._spawn(self._mutate(effect))
                case RunAction():
                    self._spawn(self._act(effect))
                case Finish():
                    self._finish_with(effect)
                case Refresh():
                    raise AssertionError("refreshes are planned by the updater alone")
        self._wake.set()

    async def _verify(self, token: str) -> None:
        match await self._calls.verify(token):
            case TooMany() as error:
                self._perform(self._machine.fail(error))
            case Verified(caller, expires_at):
                self._perform(self._machine.authenticated(caller, expires_at, self._clock()))
            case Rejected(sentence):
                self._perform(self._machine.rejected(sentence))

    async def _mutate(self, mutation: RunMutation[C]) -> None:
        outcome = await self._calls.mutate(mutation, self._machine.committing)
        if isinstance(outcome, Undecided):
            self._perform(self._machine.fail(ConnectionAbortedError()))
            return
        self._perform(self._machine.mutation_done(mutation.request_id, outcome))

    async def _act(self, action: RunAction[C]) -> None:
        outcome = await self._calls.act(action)
        self._perform(self._machine.action_done(action.request_id, outcome))

    async def _update(self) -> None:
        while True:
            self._wake.clear()
            if self._machine.settling:
                await asyncio.sleep(SETTLE_S)
            if self._machine.dirty:
                await self._hub.reached(self._machine.floor)
                await self._outbox.open_window()
            planned = self._machine.plan(self._hub.position, self._clock())
            for effect in planned:
                if isinstance(effect, Refresh):
                    await self._refresh(effect)
                else:
                    self._perform((effect,))
            if not planned:
                await self._woken()

    async def _woken(self) -> None:
        """Wait until something happened, or until the machine wants to be asked again."""
        wake_at = self._machine.wake_at
        timeout = None if wake_at is None else max(0.0, (wake_at - self._clock()) / 1_000)
        try:
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _refresh(self, refresh: Refresh[C]) -> None:
        try:
            answers = await self._answers(refresh)
        except SnapshotGone:
            self._machine.abandon(refresh)
            await self._hub.reached(Timestamp(refresh.target + 1))
            return
        except StoreUnavailable:
            self._machine.abandon(refresh)
            await asyncio.sleep(RETRY_S * random.uniform(0.5, 1.5))
            return
        for query_id in refresh.removed:
            self._show(query_id, None)
        for query_id, answer in answers.items():
            self._show(query_id, answer)
        results = {query_id: answer.result for query_id, answer in answers.items()}
        self._perform(self._machine.complete(refresh, results, self._clock()))

    async def _answers(self, refresh: Refresh[C]) -> dict[int, Answer]:
        """All answers at the target. On failure of one the others run on: they serve whoever else asked."""
        waiting = [
            self._hub.answer(
                Question(query.path, canonical_arguments(bytes(query.args)), query.journal),
                refresh.caller,
                refresh.target,
            )
            for query in refresh.queries
        ]
        found = await asyncio.gather(*waiting, return_exceptions=True)
        answers: dict[int, Answer] = {}
        for query, answer in zip(refresh.queries, found, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            answers[query.query_id] = answer
        return answers

    def _show(self, query_id: int, answer: Answer | None) -> None:
        before = self._shown.pop(query_id, None)
        if before is answer and answer is not None and answer.is_current:
            self._shown[query_id] = answer
            return
        if before is not None:
            self._hub.unwatch(before, self, query_id)
        if answer is not None:
            self._shown[query_id] = answer
            self._hub.watch(answer, self, query_id)

    def _finish_with(self, finish: Finish) -> None:
        if not self._end.done():
            self._end.set_result(finish)

    async def _finish(self, finish: Finish, reader: asyncio.Task[None]) -> None:
        await self._outbox.flush(DRAIN_S)
        if finish.drain:
            await asyncio.wait({reader}, timeout=DRAIN_S)
        if not reader.done():
            await self._close(finish.code, finish.reason)

    async def _broken(self, error: BaseException | None) -> None:
        log.error("socket broke", exc_info=error, extra={"action": "socket.broken"})
        await self._close(1011, "InternalServerError")

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._socket.close(code, reason)
        except TimeoutError:
            log.info("a client did not take its close frame", extra={"action": "socket.stuck"})

    def _leave(self) -> None:
        self._machine.fail(ConnectionResetError())  # mutations that have not begun are for the client to send again
        shown, self._shown = self._shown, {}
        for query_id, answer in shown.items():
            self._hub.unwatch(answer, self, query_id)
