"""One socket's mutations and actions: the former strictly one after the other, the latter side by side.

Invariant: every request is answered at most once, and `floor` is at or past every answered commit.
"""

from __future__ import annotations

from typing import Generic

import msgspec
from msgspec import UNSET, Raw

from schema.values import ZERO, Timestamp
from subscriptions.backlog import Backlog
from subscriptions.effects import C, Effect, Failed, Returned, RunAction, RunMutation, Send, Succeeded
from subscriptions.errors import LocalProtocolError, RemoteProtocolError, TooMany, invariant
from subscriptions.protocol import Action, ActionResponse, Mutation, MutationResponse, encode
from subscriptions.version import encode_timestamp

MAX_MUTATIONS = 1000
MAX_ACTIONS = 1000


class Requests(Generic[C]):
    """What runs, what waits, and how far the next transition must reach because of what was answered."""

    __slots__ = ("_actions", "_numbers", "_running", "_waiting", "committing", "floor", "shut")

    def __init__(self) -> None:
        self._waiting: Backlog[RunMutation[C]] = Backlog(MAX_MUTATIONS, "TooManyConcurrentMutations")
        self._running: RunMutation[C] | None = None
        self._numbers: set[int] = set()
        self._actions: set[int] = set()
        self.committing = self.shut = False
        self.floor: Timestamp = ZERO

    def __repr__(self) -> str:
        running = "none" if self._running is None else f"#{self._running.request_id}"
        state = " committing" if self.committing else ""
        return f"<Requests running {running}{state}, {len(self._waiting)} waiting, {len(self._actions)} actions>"

    @property
    def busy(self) -> bool:
        """Does a mutation run?"""
        return self._running is not None

    def shut_down(self) -> None:
        """Begin no mutation any more: what has not begun is for the client to send again, elsewhere."""
        self.shut = True
        self._waiting.clear()
        self._numbers = set() if self._running is None else {self._running.request_id}

    def over_at(self, ts: Timestamp) -> bool:
        """Shut down, and is everything that has begun answered, and its effect part of what is shown at `ts`?

        The Python client takes a mutation for done only then; what is not done it sends again, where nobody remembers it.
        """
        return self.shut and not self.busy and not self._actions and ts >= self.floor

    def mutate(self, asked: Mutation, caller: C, session_id: str | None, *, is_new: bool = False) -> list[Effect[C]]:
        """Take a mutation in, to run as the caller in force now; at once if no other runs."""
        self._unused(asked.request_id)
        if self.shut:
            return []
        mutation = RunMutation(asked.request_id, asked.path, asked.args, caller, session_id, is_new)
        if self._running is not None:
            self._waiting.put(mutation, len(bytes(mutation.args)))
        else:
            self._running = mutation
        self._numbers.add(mutation.request_id)
        return [mutation] if self._running is mutation else []

    def commit(self) -> None:
        """The running mutation is about to send its commit: from now on any snapshot may contain it."""
        if self._running is None or self.committing:
            raise LocalProtocolError("No mutation is running that could commit.")
        self.committing = True

    def mutation_done(self, request_id: int, outcome: Succeeded | Failed) -> list[Effect[C]]:
        """The running mutation ended: its answer leaves, then the next one runs."""
        if self._running is None or self._running.request_id != request_id:
            raise LocalProtocolError(f"Mutation {request_id} is not running.")
        if isinstance(outcome, Succeeded):
            self.floor = max(self.floor, outcome.ts)
            response = MutationResponse(request_id, True, outcome.value, encode_timestamp(outcome.ts))
        else:
            response = MutationResponse(request_id, False, _text(outcome), None, _shown(outcome))
        self._numbers.discard(request_id)
        self.committing = False
        self._running = self._waiting.take() if self._waiting else None
        answer = Send(encode(response))
        return [answer] if self._running is None else [answer, self._running]

    def act(self, asked: Action, caller: C, session_id: str | None) -> list[Effect[C]]:
        """Take an action in; it runs at once."""
        self._unused(asked.request_id)
        if len(self._actions) >= MAX_ACTIONS:
            raise TooMany("TooManyInflightActionsForSingleClient", MAX_ACTIONS)
        self._actions.add(asked.request_id)
        return [RunAction(asked.request_id, asked.path, asked.args, caller, session_id)]

    def action_done(self, request_id: int, outcome: Returned | Failed) -> list[Effect[C]]:
        """An action ended; its answer waits for nothing."""
        if request_id not in self._actions:
            raise LocalProtocolError(f"Action {request_id} is not running.")
        self._actions.discard(request_id)
        if isinstance(outcome, Returned):
            response = ActionResponse(request_id, True, outcome.value)
        else:
            response = ActionResponse(request_id, False, _text(outcome), _shown(outcome))
        return [Send(encode(response))]

    def drop(self) -> None:
        """Nothing that waits will run here."""
        self._waiting.clear()

    def validate(self) -> None:
        """Raise unless the parts agree with each other."""
        idle = not (self.committing or self._waiting or self._numbers)
        invariant(self._running is not None or idle, "nothing commits or waits unless a mutation runs")
        invariant(not self._numbers & self._actions, "a request is a mutation or an action")

    def _unused(self, request_id: int) -> None:
        if request_id in self._numbers or request_id in self._actions:
            raise RemoteProtocolError(f"Request {request_id} is already under way.")


def _text(failed: Failed) -> Raw:
    return Raw(msgspec.json.encode(failed.message))


def _shown(failed: Failed) -> Raw | msgspec.UnsetType:
    return UNSET if failed.data is None else failed.data
