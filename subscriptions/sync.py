"""`SyncMachine`: one socket of the sync protocol, deciding everything and performing nothing.

Invariant: every transition starts at the version the last one ended at, no timestamp goes backwards, and no transition
that could contain a commit of this socket leaves before the answer to it. (Numbers cite sections of the protocol.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Generic, assert_never

from schema.values import Millis, Timestamp
from subscriptions import protocol
from subscriptions.backlog import Backlog
from subscriptions.effects import C, Effect, Failed, Finish, Refresh, Result, Returned, Send, Succeeded, Verify
from subscriptions.errors import LocalProtocolError, RemoteProtocolError, TooMany, invariant
from subscriptions.greeting import Greeting, absurd
from subscriptions.identity import Identity
from subscriptions.leap import Leap
from subscriptions.phases import CLOSE_AWAY, CLOSE_BROKEN, CLOSE_NORMAL, CLOSE_OVERLOADED, Cue, Phase, following
from subscriptions.push import Push
from subscriptions.query_set import Flight, QuerySet
from subscriptions.requests import Requests
from subscriptions.transition import parts, transition
from subscriptions.version import START, StateVersion

MAX_HELD_MESSAGES = 2_048


class SyncMachine(Generic[C]):
    """The state of one socket. Call `plan` after every other call, and when `wake_at` has come.

    The driver promises that `invalidate` has been called for every commit up to the position it gives to `plan`.
    """

    __slots__ = (
        "_chunks", "_current", "_due", "_flight", "_greeting", "_held", "_identity", "_phase", "_queries", "_refreshes",
        "_requests", "_settling",
    )  # fmt: skip

    def __init__(self, anonymous: C, *, chunks: bool = False) -> None:
        self._chunks = chunks
        self._phase = Phase.LISTENING
        self._current: StateVersion = START
        self._identity = Identity(anonymous)
        self._queries = QuerySet()
        self._requests: Requests[C] = Requests()
        self._held: Backlog[protocol.ClientMessage] = Backlog(MAX_HELD_MESSAGES, "TooManyConcurrentRequests")
        self._flight: Flight[C] | None = None
        self._refreshes = 0
        self._due = self._settling = False
        self._greeting = Greeting()

    def __repr__(self) -> str:
        flight = "no refresh" if self._flight is None else f"refresh to {self._flight.refresh.version}"
        state = f"{self._phase.value}, due" if self._due else self._phase.value
        return f"<SyncMachine {state} at {self._current}, {flight}, {self._queries!r}, {self._requests!r}>"

    @property
    def version(self) -> StateVersion:
        """What the client was last moved to."""
        return self._current

    @property
    def floor(self) -> Timestamp:
        """The log must have reached this before the next transition."""
        return max(self._current.ts, self._requests.floor, self._greeting.observed)

    @property
    def dirty(self) -> bool:
        """Is a refresh wanted, whether or not one may start now?"""
        return self._due and self._phase is not Phase.FINISHED

    @property
    def settling(self) -> bool:
        """Are client edits coming in, so that a few milliseconds of patience save a transition? (4.3)"""
        return self._settling and self.dirty

    @property
    def wake_at(self) -> Millis | None:
        """When to plan again though nothing happens."""
        return self._greeting.hold_until if self.dirty else None

    @property
    def finished(self) -> bool:
        """Has the socket come to its end?"""
        return self._phase is Phase.FINISHED

    def receive(self, message: protocol.ClientMessage, now: Millis) -> list[Effect[C]]:
        """Take in one message. Raises `RemoteProtocolError` or `TooMany`; answer those with `fail`."""
        if self._phase is Phase.FINISHED:
            return []
        if self._phase is Phase.VERIFYING:
            self._held.put(message, protocol.weight(message))
            return []
        return self._read(message, now)

    def authenticated(self, caller: C, expires_at: Millis | None, now: Millis) -> list[Effect[C]]:
        """The token is `caller`'s. Reads what was held back, and fails by itself if that breaks the protocol."""
        if self._phase is Phase.FINISHED:
            return []
        self._step(Cue.ACCEPTED)
        self._adopt(self._identity.become(caller, expires_at))
        effects: list[Effect[C]] = []
        try:
            while self._held and self._phase is Phase.LISTENING:
                effects += self._read(self._held.take(), now)
        except (RemoteProtocolError, TooMany) as error:
            effects += self.fail(error)
        return effects

    def rejected(self, sentence: str) -> list[Effect[C]]:
        """The token is nobody's."""
        last = protocol.AuthError(sentence, self._identity.version, True)
        return [] if self.finished else self._end(Cue.REJECTED, last)

    def committing(self) -> None:
        """The running mutation is about to send its commit, or waits for the same one begun on another socket."""
        if self._phase is not Phase.FINISHED:
            self._requests.commit()

    def mutation_done(self, request_id: int, outcome: Succeeded | Failed) -> list[Effect[C]]:
        """The running mutation ended. Its answer leaves first, the next one runs, a transition follows (0.1)."""
        if self._phase is Phase.FINISHED:
            return []
        self._due = True
        return [*self._requests.mutation_done(request_id, outcome), *self._parted()]

    def action_done(self, request_id: int, outcome: Returned | Failed) -> list[Effect[C]]:
        """An action ended; its answer waits for nothing."""
        if self._phase is Phase.FINISHED:
            return []
        self._due = True
        return [*self._requests.action_done(request_id, outcome), *self._parted()]

    def invalidate(self, query_ids: Iterable[int]) -> None:
        """The answers to these may have changed; also while they are being evaluated."""
        if self._queries.invalidate(query_ids):
            self._due = True

    @property
    def quiet_until(self) -> Millis:
        """Until when nothing is going on here that a refresh would have to look at; ends with the next call but `leap`."""
        busy = self._due or self._flight is not None or self._phase is not Phase.LISTENING or self._requests.busy
        return -inf if busy or self._current.ts < self.floor else self._identity.expires_at or inf

    def leap(self, query_id: int, leap: Leap) -> Push | None:
        """Take one answer to its successor without a refresh: the frame, or None when it takes one. Only while it is quiet.

        The driver promises that every other answer shown holds at the leap's target.
        """
        if leap.target < self._current.ts or not self._queries.leap(query_id, leap.told, leap.new.result.journal):
            return None
        self._current, push = leap.step(self._current, query_id)
        return push

    def carried(self, version: StateVersion, results: Mapping[int, Result]) -> None:
        """The client was led on in company while it was quiet: where it is, and what it was last told."""
        self._current = version
        self._queries.carried(results)

    def plan(self, position: Timestamp, now: Millis) -> list[Effect[C]]:
        """At most one `Refresh`, to `position`; or the end of the socket if the token has run out."""
        self._greeting.let_go(now)
        busy = self._flight is not None or self._requests.committing or self._greeting.hold_until is not None
        if busy or not self.dirty or position < self.floor:
            return []
        if self._identity.lapsed(now):
            return self._expire() if self._phase is Phase.LISTENING else []  # a newer token is being looked at
        taken = self._queries.take()
        self._refreshes += 1
        version = StateVersion(self._queries.version, self._identity.version, position)
        refresh = Refresh(self._refreshes, version, self._identity.caller, taken.asked(), taken.removed)
        self._flight = Flight(refresh, taken)
        self._due = self._settling = False
        return [refresh]

    def complete(self, refresh: Refresh[C], results: Mapping[int, Result], now: Millis) -> list[Effect[C]]:
        """The answers are there. They become a transition unless a mutation answered meanwhile asks for a later one."""
        if self._phase is Phase.FINISHED:
            return []
        flight = self._landing(refresh)
        if refresh.target < self.floor:  # some clients settle on the next transition of any timestamp (4.4)
            self.abandon(refresh)
            return []
        news = self._queries.settle(flight.taken, results)
        start, self._current, self._flight = self._current, refresh.version, None
        whole = transition(start, refresh.version, news, self._greeting.skew, now)
        frames = parts(whole, str(refresh.number)) if self._chunks else [whole]
        return [*(Send(frame, transition=frame is frames[-1]) for frame in frames), *self._parted()]

    def abandon(self, refresh: Refresh[C]) -> None:
        """The evaluation could not be done now; everything it took on is stale again."""
        if self._phase is not Phase.FINISHED:
            self._queries.give_back(self._landing(refresh).taken)
            self._flight, self._due = None, True

    def fail(self, error: Exception) -> list[Effect[C]]:
        """End the socket because of `error`: the client's fault, too much of something, or trouble of our own."""
        if self._phase is Phase.FINISHED:
            return []
        if isinstance(error, RemoteProtocolError):
            return self._end(Cue.FAILED, protocol.FatalError(error.sentence))
        if isinstance(error, TooMany):
            return self._close(CLOSE_OVERLOADED, error.short)
        return self._close(CLOSE_BROKEN, "InternalServerError")

    def part(self) -> list[Effect[C]]:
        """This process goes away: begin no mutation any more, and end the socket once what has begun is answered and shown."""
        self._requests.shut_down()
        return self._parted()

    def validate(self) -> None:
        """Raise unless the parts agree with each other. Called every turn in tests."""
        queries, flight = self._queries, self._flight
        self._requests.validate()
        invariant(not self._held or self._phase is Phase.VERIFYING, "messages are held only while verifying")
        if self._phase is Phase.FINISHED:
            return
        queries.validate(None if flight is None else flight.taken)
        aim = self._current if flight is None else flight.refresh.version
        invariant(self._current.ts <= aim.ts, "no timestamp goes backwards")
        invariant(self._current.query_set <= aim.query_set <= queries.version, "query sets follow the client")
        invariant(self._current.identity <= aim.identity <= self._identity.version, "identities follow the client")
        arrived = (aim.query_set, aim.identity) == (queries.version, self._identity.version) and not queries.waiting
        invariant(self._due or arrived, "what is not yet told is due")

    def _read(self, message: protocol.ClientMessage, now: Millis) -> list[Effect[C]]:
        match message:
            case protocol.Connect():
                return self._connect(message, now)
            case protocol.ModifyQuerySet():
                self._queries.modify(message)
                self._due = self._settling = True
                self._greeting.hold_until = None
                return []
            case protocol.Authenticate():
                return self._authenticate(message)
            case protocol.Mutation() | protocol.Action() if self._identity.lapsed(now):
                return self._expire()
            case protocol.Mutation():
                hello, caller = self._greeting, self._identity.caller
                return self._requests.mutate(message, caller, hello.session_id, is_new=hello.is_first)
            case protocol.Action():
                return self._requests.act(message, self._identity.caller, self._greeting.session_id)
            case protocol.Event():
                return []
        assert_never(message)

    def _connect(self, message: protocol.Connect, now: Millis) -> list[Effect[C]]:
        if message.max_observed is not None and absurd(message.max_observed, now):
            return self._close(CLOSE_BROKEN, "InternalServerError")
        self._greeting.hear(message, now)
        if self._queries.version > 0:
            self._greeting.hold_until = None
        return []

    def _authenticate(self, message: protocol.Authenticate) -> list[Effect[C]]:
        self._identity.check_base(message.base_version)
        match message:
            case protocol.Authenticate(token_type="User", value=str(token)):
                self._step(Cue.CLAIMED)
                return [Verify(token)]
            case protocol.Authenticate(token_type="None"):
                self._adopt(self._identity.leave())
                return []
            case _:
                refusal = protocol.AuthError("This kind of token is not accepted here.", self._identity.version, True)
                return self._end(Cue.FAILED, refusal)

    def _adopt(self, changed: bool) -> None:
        if changed:
            self._queries.invalidate(self._queries.live)
        self._due = self._settling = True

    def _landing(self, refresh: Refresh[C]) -> Flight[C]:
        if self._flight is None or self._flight.refresh is not refresh:
            raise LocalProtocolError(f"Refresh {refresh.number} is not in flight.")
        return self._flight

    def _expire(self) -> list[Effect[C]]:
        return self._end(Cue.EXPIRED, protocol.AuthError("The token has expired.", self._current.identity, False))

    def _end(self, cue: Cue, last: protocol.AuthError | protocol.FatalError) -> list[Effect[C]]:
        self._step(cue)
        return [Send(protocol.encode(last)), Finish(CLOSE_NORMAL, "", drain=True)]  # never an error and a close at once

    def _parted(self) -> list[Effect[C]]:
        return self._close(CLOSE_AWAY, "") if not self.finished and self._requests.over_at(self._current.ts) else []

    def _close(self, code: int, reason: str) -> list[Effect[C]]:
        self._step(Cue.FAILED)
        return [Finish(code, reason, drain=False)]

    def _step(self, cue: Cue) -> None:
        self._phase = following(self._phase, cue)
        if self._phase is Phase.FINISHED:
            self._held.clear()
            self._requests.drop()
