"""What a socket's worker calls: verification, mutations, actions. Nothing here raises; every failure has its words."""

from __future__ import annotations

from collections.abc import Callable

from server.caller import CallerRefused, Callers
from server.executor import Caller, Executor
from subscriptions.effects import Failed, Returned, RunAction, RunMutation, Succeeded, Undecided
from subscriptions.seams import Rejected, Verified


class SocketCalls:
    """The product behind a socket."""

    def __init__(self, executor: Executor, callers: Callers) -> None:
        self._executor, self._callers = executor, callers

    def __repr__(self) -> str:
        return f"<SocketCalls {self._executor!r}>"

    async def verify(self, token: str) -> Verified[Caller] | Rejected:
        """Find out whom the token belongs to."""
        try:
            verified = await self._callers.verify(token)
        except CallerRefused as refused:
            return Rejected(str(refused))
        return Verified[Caller](verified.identity, verified.expires_at)

    async def mutate(
        self, mutation: RunMutation[Caller], committing: Callable[[], None]
    ) -> Succeeded | Failed | Undecided:
        """Run a mutation."""
        return await self._executor.mutate(mutation, committing)

    async def act(self, action: RunAction[Caller]) -> Returned | Failed:
        """Run an action."""
        return await self._executor.act(action.path, bytes(action.args), action.caller)
