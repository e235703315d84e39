"""One process's part in the fleet: what it shares with the others while Redis is there, and nothing at all without."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Generic, TypeVar

from schema.values import Millis, Timestamp
from server.fleet.answers import SharedAnswers
from server.fleet.line import Line
from server.fleet.presence import Company, Presence
from server.fleet.seal import NAME_BYTES, Seal
from server.fleet.version import version_of
from subscriptions.hub import Evaluate
from subscriptions.log import Log

C = TypeVar("C")


class Fleet(Generic[C]):
    """Answers and presence, shared over one line. Without `redis_url` there is none, and each process is a fleet of its own.

    `answers_follow` are the settings that answers contain: processes that differ in one share nothing.
    """

    def __init__(
        self,
        evaluate: Evaluate[C],
        log: Log,
        *,
        redis_url: str | None,
        key: bytes,
        answers_follow: tuple[str, ...],
        name: str,
        sockets: Callable[[], int],
        reached: Callable[[Timestamp], Awaitable[None]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        clock: Callable[[], Millis],
    ) -> None:
        self._presence = Presence(name, sockets, clock)
        self.evaluate: Evaluate[C] = evaluate
        self._answers: SharedAnswers[C] | None = None
        self._line: Line | None = None
        self._takes_part = False
        if redis_url is None:
            return
        self._seal = seal = Seal(key, version_of(*answers_follow))
        self._beats = seal.place("beats")
        self._line = Line(redis_url, seal.place("channel"), greeting=self._greeting, hear=self._hear, lost=self._lost)
        self._answers = SharedAnswers(evaluate, log, self._line, seal, reached=reached, spawn=spawn, clock=clock)
        self.evaluate = self._answers.evaluate

    def __repr__(self) -> str:
        return f"<Fleet {self._line!r}, {self._answers!r}>"

    @property
    def is_alone(self) -> bool:
        """Does this process work for itself, because there is no Redis or it does not answer?"""
        return self._line is None or not self._line.is_open

    def company(self) -> Company:
        """The processes that serve sockets, and how many sockets they hold together; this one alone while it is alone."""
        return self._presence.company()

    def metrics(self) -> Mapping[str, float]:
        """What was shared, and who is there; nothing of a process that serves nobody, as a worker."""
        if not self._takes_part:
            return {}
        company, answers = self.company(), self._answers
        return {
            "anime_answers_adopted_total": 0 if answers is None else answers.adopted,
            "anime_answers_offered_total": 0 if answers is None else answers.offered,
            "anime_answers_awaited_in_vain_total": 0 if answers is None else answers.in_vain,
            "anime_fleet_alone": self.is_alone,
            "anime_fleet_processes": company.processes,
            "anime_fleet_sockets": company.sockets,
        }

    async def run(self) -> None:
        """Take part, for ever, if there is a Redis."""
        self._takes_part = True
        if self._line is not None:
            await self._line.run()

    def _greeting(self) -> bytes:
        return self._beats + self._seal.close(self._beats, self._presence.beat())

    def _hear(self, message: bytes) -> None:
        name, closed = message[:NAME_BYTES], message[NAME_BYTES:]
        if name == self._beats:
            beat = self._seal.open(name, closed)
            if beat is not None:
                self._presence.hear(beat)
        elif self._answers is not None:
            self._answers.hear(name, closed)

    def _lost(self) -> None:
        self._presence.forget()
        if self._answers is not None:
            self._answers.lost()
