"""The worker: drives one socket's `SyncMachine`. It waits, so that the machine need not.

Invariant: effects are performed in the order the machine gave them; frames leave in the order of the outbox; a mutation that
has begun outlives its socket; no transition is planned before every answer shown has been asked whether it still holds.

A socket has no task but the one that reads. What is to do next is decided in `_advance`, called when something has happened.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping
from math import inf
from typing import Any, TypeVar

from schema.errors import SnapshotGone, StoreUnavailable
from schema.values import Millis, Timestamp
from subscriptions import protocol
from subscriptions.answers import Answer, Question
from subscriptions.effects import Effect, Finish, Refresh, RunAction, RunMutation, Send, Undecided, Verify
from subscriptions.errors import RemoteProtocolError, TooMany
from subscriptions.farewell import farewell
from subscriptions.hub import Hub
from subscriptions.outbox import PING_S, STUCK_S
from subscriptions.push import Push
from subscriptions.seams import Calls, Rejected, Socket, Verified
from subscriptions.sync import SyncMachine
from subscriptions.viewer import Viewer

C = TypeVar("C")

SETTLE_S = 0.005
"""Patience for the rest of a client's opening burst, so that it becomes one transition (sync-protocol 4.3)."""
RETRY_S = 0.2

log = logging.getLogger("anime.socket")


class SocketWorker(Viewer[C]):
    """One socket from its opening to its end."""

    __slots__ = (
        "_alarm", "_calls", "_clock", "_ended", "_finishing", "_patient", "_refreshing", "_socket", "_spawn",
        "_stale_since", "_timer", "_woken",
    )  # fmt: skip

    def __init__(
        self,
        socket: Socket,
        machine: SyncMachine[C],
        hub: Hub[C],
        calls: Calls[C],
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        clock: Callable[[], Millis],
        stuck_s: float = STUCK_S,
    ) -> None:
        super().__init__(machine, hub, socket.line, stuck_s)
        self._socket, self._calls = socket, calls
        self._spawn, self._clock = spawn, clock
        self._refreshing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._alarm: int | None = None
        self._finishing: asyncio.Event | None = None
        self._woken = self._patient = self._ended = False
        self._stale_since: Millis = inf
        """When the first commit was that the client has not been told of, as far as a refresh has not taken it on."""

    def __repr__(self) -> str:
        return f"<SocketWorker {self._sync!r}, {self._outbox!r}>"

    async def run(self) -> None:
        """Serve the client until it leaves or must. Returns when the socket is done with; never raises for the client's doing."""
        try:
            while (frame := await self._socket.receive()) is not None:
                if not self.machine.finished:
                    self._read(frame)
        except Exception as error:
            self._broken(error)
        finally:
            self._leave()

    def part(self) -> None:
        """This process goes away: end the socket as soon as nothing that has begun is without its answer."""
        self._perform(self.machine.part())

    def ping(self, now: float) -> None:
        """Show that we are here, if nothing else has for a while. `now` is the loop's time."""
        if self.cohort is None or now - self.cohort.spoken_at >= PING_S:
            self._outbox.ping(now)

    def _read(self, frame: str | bytes) -> None:
        try:
            effects = self.machine.receive(protocol.parse(frame), self._clock())
        except (RemoteProtocolError, TooMany) as error:
            log.info("socket refused: %s", error, extra={"action": "socket.refused"})
            effects = self.machine.fail(error)
        except Exception as error:
            self._broken(error)
            return
        self._perform(effects)

    def _perform(self, effects: Iterable[Effect[C]]) -> None:
        for effect in effects:
            match effect:
                case Send(frame):
                    self._outbox.put(Push(frame))
                case Verify(token):
                    self._spawn(self._verify(token))
                case RunMutation():
                    self._spawn(self._mutate(effect))
                case RunAction():
                    self._spawn(self._act(effect))
                case Finish():
                    self._finish_with(effect)
                case Refresh():
                    raise AssertionError("refreshes are planned by `_advance` alone")
        self.wake()

    async def _verify(self, token: str) -> None:
        match await self._calls.verify(token):
            case TooMany() as error:
                self._perform(self.machine.fail(error))
            case Verified(caller, expires_at):
                self._perform(self.machine.authenticated(caller, expires_at, self._clock()))
            case Rejected(sentence):
                self._perform(self.machine.rejected(sentence))

    async def _mutate(self, mutation: RunMutation[C]) -> None:
        outcome = await self._calls.mutate(mutation, self.machine.committing)
        if isinstance(outcome, Undecided):
            self._perform(self.machine.fail(ConnectionAbortedError()))
            return
        self._perform(self.machine.mutation_done(mutation.request_id, outcome))

    async def _act(self, action: RunAction[C]) -> None:
        outcome = await self._calls.act(action)
        self._perform(self.machine.action_done(action.request_id, outcome))

    def wake(self) -> None:
        """Something has happened; look at it in turn."""
        self.stand_up()
        self.quiet_until = -inf
        if not self._woken and not self._ended:
            self._woken = True
            self._hub.turns.take(self._turn)

    def _turn(self) -> None:
        self._woken = False
        if not self._ended:
            try:
                self._advance()
            except Exception as error:
                self._broken(error)

    def _advance(self) -> None:
        """Bring the client to the newest moment, as far as that can be done now; what stands in the way wakes us."""
        machine = self.machine
        machine.invalidate(self._stale())
        if not machine.dirty or self._refreshing is not None:
            self.quiet_until = machine.quiet_until
            return
        if machine.settling and not self._patient:
            self._wait(SETTLE_S)
        elif self._hub.position < machine.floor:
            if self._alarm is None:
                self._alarm = self._hub.alarms.call_at(machine.floor, self._reached)
        elif self._outbox.open:
            self._plan(self._clock())

    def _stale(self) -> list[int]:
        """Which of the answers shown no longer hold."""
        stale = [(query_id, answer.stale_since) for query_id, answer in self._shown.items() if not answer.is_current]
        for _, since in stale:
            self._stale_since = min(self._stale_since, since)
        return [query_id for query_id, _ in stale]

    def _plan(self, now: Millis) -> None:
        wake_at = self.machine.wake_at
        planned = self.machine.plan(self._hub.position, now)
        self._patient = False
        for effect in planned:
            if isinstance(effect, Refresh):
                self._refresh(effect)
            else:
                self._perform((effect,))
        if not planned and wake_at is not None:
            self._wait(max(0.0, (wake_at - now) / 1_000))

    def _wait(self, seconds: float) -> None:
        """Look again after so long, or sooner if that has been arranged."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = loop.call_later(seconds, self._waited)

    def _reached(self) -> None:
        self._alarm = None
        self.wake()

    def _waited(self) -> None:
        self._timer, self._patient = None, True
        self.wake()

    def _refresh(self, refresh: Refresh[C]) -> None:
        """Answer from what is known, at once; or ask, and complete when the answers are there."""
        since, self._stale_since = self._stale_since, inf
        self.forget((*refresh.removed, *(each.query_id for each in refresh.queries)))
        questions = {each.query_id: Question(each.path, bytes(each.args), each.journal) for each in refresh.queries}
        answers: dict[int, Answer] = {}
        for query_id, question in questions.items():
            found = self._hub.find(question, refresh.caller, refresh.target)
            if found is None:
                self._refreshing = asyncio.create_task(self._ask(refresh, questions, since), name="refresh")
                return
            answers[query_id] = found
        self._complete(refresh, answers, since)

    async def _ask(self, refresh: Refresh[C], questions: Mapping[int, Question], since: Millis) -> None:
        """All answers at the target. On failure of one the others run on: they serve whoever else asked."""
        waiting = [self._hub.answer(question, refresh.caller, refresh.target) for question in questions.values()]
        found = await asyncio.gather(*waiting, return_exceptions=True)
        answers = {each: answer for each, answer in zip(questions, found, strict=True) if isinstance(answer, Answer)}
        failure = next((each for each in found if isinstance(each, BaseException)), None)
        if isinstance(failure, StoreUnavailable):
            await asyncio.sleep(RETRY_S * random.uniform(0.5, 1.5))
        elif isinstance(failure, SnapshotGone):
            await self._hub.alarms.reached(Timestamp(refresh.target + 1))
        self._refreshing = None
        try:
            if failure is None:
                self._complete(refresh, answers, since)
            elif isinstance(failure, SnapshotGone | StoreUnavailable):
                self._stale_since = min(self._stale_since, since)
                self.machine.abandon(refresh)
                self.wake()
            else:
                raise failure
        except Exception as error:
            self._broken(error)

    def _complete(self, refresh: Refresh[C], answers: Mapping[int, Answer], since: Millis) -> None:
        for query_id, answer in answers.items():
            self.show(query_id, answer)
        results = {query_id: answer.result for query_id, answer in answers.items()}
        transition = self.machine.complete(refresh, results, self._clock())
        self._perform(transition)
        if transition:
            self._hub.pushed(since, 1)
        else:  # it asks for a later moment
            self._stale_since = min(self._stale_since, since)

    def _finish_with(self, finish: Finish) -> None:
        if self._finishing is None and not self._ended:
            self._finishing = asyncio.Event()
            self._spawn(farewell(self._socket, self._outbox, finish, self._finishing))

    def _broken(self, error: Exception) -> None:
        log.error("socket broke", exc_info=error, extra={"action": "socket.broken"})
        self._perform(self.machine.fail(error))

    def _leave(self) -> None:
        self.stand_up()
        self._ended = True
        if self._finishing is not None:
            self._finishing.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._refreshing is not None:
            self._refreshing.cancel()
            self._refreshing = None  # its cancellation holds on to its frame, and that to us
        if self._alarm is not None:
            self._hub.alarms.call_off(self._alarm)
        self._outbox.close()
        self.machine.fail(ConnectionResetError())  # mutations that have not begun are for the client to send again
        self.forget(tuple(self._shown))
