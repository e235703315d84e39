"""What a socket's worker calls: verification, mutations, actions. Nothing here raises; every failure has its words."""

from __future__ import annotations

from collections.abc import Callable

from server.caller import CallerRefused, Callers
from server.errors import RateLimited
from server.executor import Caller, Executor
from server.limits import Seats
from subscriptions.effects import Failed, Returned, RunAction, RunMutation, Succeeded, Undecided
from subscriptions.errors import TooMany
from subscriptions.seams import Rejected, Verified

FULL = "TooManyConcurrentRequests"
"""A close reason that begins like this makes the published clients come back later and later (sync-protocol 5)."""


class SocketCalls:
    """The product behind one socket, and the seat that it takes among its member's sockets."""

    __slots__ = ("_address", "_callers", "_executor", "_has_left", "_member", "_members")

    def __init__(self, executor: Executor, callers: Callers, members: Seats, address: str) -> None:
        self._executor, self._callers, self._members, self._address = executor, callers, members, address
        self._member: str | None = None
        self._has_left = False

    def __repr__(self) -> str:
        return f"<SocketCalls for {self._member or 'nobody'} at {self._address}>"

    async def verify(self, token: str) -> Verified[Caller] | Rejected | TooMany:
        """Find out whom the token belongs to. `TooMany` is no verdict on the token: that would sign its owner out."""
        try:
            verified = await self._callers.verify(token, self._address)
        except CallerRefused as refused:
            return Rejected(str(refused))
        except RateLimited as limited:
            return TooMany(f"{FULL} ({limited.code}: too many failed sign-ins from this address)")
        if not self._sit(verified.identity.subject):
            return TooMany(f"{FULL} (RATE_LIMITED: too many windows of one member)")
        return Verified[Caller](verified.identity, verified.expires_at)

    async def mutate(
        self, mutation: RunMutation[Caller], committing: Callable[[], None]
    ) -> Succeeded | Failed | Undecided:
        """Run a mutation."""
        if self._executor.trace is None:
            return await self._executor.mutate(mutation, committing)
        with self._executor.trace.span("socket message"):
            return await self._executor.mutate(mutation, committing)

    async def act(self, action: RunAction[Caller]) -> Returned | Failed:
        """Run an action."""
        return await self._executor.act(action.path, bytes(action.args), action.caller)

    def leave(self) -> None:
        """The socket is closed, maybe while its token is still being looked at."""
        self._has_left = True
        self._stand_up()

    def _stand_up(self) -> None:
        if self._member is not None:
            self._members.leave(self._member)
            self._member = None

    def _sit(self, member: str) -> bool:
        if self._has_left or member == self._member:
            return True
        self._stand_up()
        if not self._members.take(member):
            return False
        self._member = member
        return True
