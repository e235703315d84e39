"""Runs functions: decode, authorise, run in a snapshot or a transaction, encode. Every failure becomes what clients may read.

Invariant: a mutation's writes, its receipt and its jobs commit together or not at all; a receipt answers only who earned it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from msgspec import Raw

from schema.errors import NotUnique, SchemaError, SnapshotGone, StoreUnavailable
from schema.reader import Reader
from schema.readset import ReadSet
from schema.system import Receipt
from schema.values import Id, Millis, Timestamp, days, seconds
from schema.wire import digest, encode_value
from schema.writer import Writer
from server.auth.identity import Identity
from server.context import SUBJECT, Action, Mutation, Query, Urls, authorise
from server.database import Database
from server.errors import ApplicationError, Forbidden, Invalid, PublicError, known, server_error, unknown_function
from server.ids import request_id as new_request_id
from server.limits import Bounds, Limits, per_minute
from server.logs import request_of_now
from server.registry import Function, Registry
from server.runs import Runs, Trace
from subscriptions.answers import Question
from subscriptions.effects import Failed, Failure, Returned, RunMutation, Succeeded, Undecided, Value
from subscriptions.histogram import Histogram
from subscriptions.hub import Evaluated

MAX_RESULT_BYTES = 16 << 20
MAX_MUTATION_RESULT_BYTES = 1 << 20
"""A mutation's is kept in its receipt, and a document has an end."""
RECEIPT_LIFETIME = days(14)
MAX_UNIQUENESS_RETRIES = 3
RETRY_TIMED_OUT: Millis = seconds(10)
"""A query that ran out of time may have met a bad moment: whoever watches it has it tried again."""

Caller = Identity | None
T = TypeVar("T")

log = logging.getLogger("anime.functions")


def facet(caller: Caller, name: str) -> str | None:
    """What a caller looks like to functions: an operator in somebody's name is not that person."""
    if caller is None or name != SUBJECT:
        return None
    return caller.subject if caller.impersonated_by is None else f"{caller.subject}\0{caller.impersonated_by}"


class Executor:
    """Runs the registry's functions against the database."""

    def __init__(
        self,
        registry: Registry,
        database: Database,
        urls: Urls,
        limits: Limits,
        bounds: Bounds,
        clock: Callable[[], Millis],
        trace: Trace | None = None,
    ) -> None:
        self.trace = trace
        self._registry, self._database, self._urls = registry, database, urls
        self._limits, self._bounds, self._clock = limits, bounds, clock
        self._mutation_rate = per_minute(bounds.mutations_per_minute_per_member)
        self._lanes: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._runs = Runs(clock, trace)
        self._failed_queries = self._timed_out_queries = 0

    def __repr__(self) -> str:
        return f"<Executor {self._registry!r}>"

    def metrics(self) -> Mapping[str, float | Histogram]:
        """How long functions took, and how many queries went wrong for reasons of our own, out of time among them."""
        return {
            **self._runs.metrics(),
            "anime_queries_failed_total": self._failed_queries,
            "anime_queries_timed_out_total": self._timed_out_queries,
        }

    async def evaluate(self, question: Question, caller: Caller, ts: Timestamp) -> Evaluated:
        """The query's result at `ts` and what it depended on. Raises `SnapshotGone` and `StoreUnavailable`, nothing else."""
        function = self._registry.find(question.path, "query")
        if function is None:
            return Evaluated(_failure(unknown_function(question.path), question.journal), ReadSet())
        with self._runs.of(function, caller, ts):
            return await self._evaluate(function, question, caller, ts)

    async def _evaluate(self, function: Function, question: Question, caller: Caller, ts: Timestamp) -> Evaluated:
        db = self._database.at(ts, question.journal)
        facets: set[str] = set()
        time = asyncio.timeout(self._bounds.query_timeout_s or None)
        try:
            async with time:
                value = _encoded(await self._query(function, question.arguments, caller, facets, db))
        except (SnapshotGone, StoreUnavailable):
            raise
        except Exception as error:
            self._failed_queries += known(error) is None
            if time.expired():
                self._timed_out_queries += 1
                db.expire_at(self._clock() + RETRY_TIMED_OUT)
            failure = _failure(self._public(error, question.path), question.journal)
            return Evaluated(failure, db.read_set(frozenset(facets)), db.documents_read)
        result = Value(Raw(value), digest(value), db.new_journal)
        return Evaluated(result, db.read_set(frozenset(facets)), db.documents_read)

    async def query(self, path: str, arguments: bytes, caller: Caller, ts: Timestamp) -> bytes | PublicError:
        """One query on its own, for callers without a socket. Raises `SnapshotGone` and `StoreUnavailable`."""
        match (await self.evaluate(Question(path, arguments, None), caller, ts)).result:
            case Value(value):
                return bytes(value)
            case Failure(message, data):
                return PublicError(message, None if data is None else bytes(data))

    async def _query(
        self, function: Function, arguments: bytes, caller: Caller, facets: set[str], db: Reader
    ) -> object:
        values = function.decode(arguments)
        me = await authorise(function.caller, caller, facets, db)
        return await function.handler(Query(me, db, self._clock(), self._urls), **values)

    async def mutate(
        self, mutation: RunMutation[Caller], committing: Callable[[], None]
    ) -> Succeeded | Failed | Undecided:
        """Run a mutation to its end. `committing` is called once, before the first commit is sent.

        `Undecided` when the database went away, maybe between the commit and the word that it was done.
        """
        function = self._registry.find(mutation.path, "mutation")
        if function is None:
            return Failed(unknown_function(mutation.path).message)
        with self._runs.of(function, mutation.caller):
            return await self._mutate(function, mutation, committing)

    async def _mutate(
        self, function: Function, mutation: RunMutation[Caller], committing: Callable[[], None]
    ) -> Succeeded | Failed | Undecided:
        key = None if mutation.session_id is None else f"{mutation.session_id}:{mutation.request_id}"
        commits = _Once(committing)
        subject = mutation.caller.subject if mutation.caller is not None else ""
        try:
            async with asyncio.timeout(self._bounds.mutation_timeout_s or None), self._lane(subject or key or ""):
                value, ts = await self._commit(function, mutation, key, subject, commits)
                if self.trace is not None:
                    self.trace.committed(ts)
        except Exception as error:
            # One that was sent before may have been done before, and its receipt not been reached in time.
            may_be_done = commits.called or (key is not None and not mutation.is_new)
            if isinstance(error, StoreUnavailable) or (isinstance(error, TimeoutError) and may_be_done):
                log.warning("%s: %s", mutation.path, type(error).__name__, extra={"action": "function.undecided"})
                return Undecided()
            public = self._public(error, mutation.path)
            return Failed(public.message, None if public.data is None else Raw(public.data))
        return Succeeded(Raw(value), ts)

    async def _commit(
        self,
        function: Function,
        mutation: RunMutation[Caller],
        key: str | None,
        subject: str,
        committing: Callable[[], None],
    ) -> tuple[bytes, Timestamp]:
        is_counted = False

        async def work(db: Writer, look: bool) -> bytes:
            nonlocal is_counted
            receipt = await db.get(Receipt, Id[Receipt](key)) if look and key is not None else None
            if receipt is not None:
                if receipt.caller != subject:
                    raise Forbidden
                return receipt.value.encode()
            if not is_counted:  # after the receipt: what was done is answered, however often it is asked
                await self._spend(function, subject)
                is_counted = True
            result = await self._mutation(function, bytes(mutation.args), mutation.caller, db)
            value = _encoded(result, MAX_MUTATION_RESULT_BYTES)
            if key is not None:
                expires_at = db.now + RECEIPT_LIFETIME
                await db.insert(
                    Receipt(id=Id[Receipt](key), caller=subject, value=value.decode(), expires_at=expires_at)
                )
            return value

        look = not mutation.is_new
        for _ in range(MAX_UNIQUENESS_RETRIES):
            try:
                return await self._database.transact(partial(work, look=look), committing)
            except NotUnique:
                look = True  # somebody was faster; a second look finds what they wrote
        return await self._database.transact(partial(work, look=look), committing)

    async def _mutation(self, function: Function, arguments: bytes, caller: Caller, db: Writer) -> object:
        values = function.decode(arguments)
        me = await authorise(function.caller, caller, set(), db)
        return await function.handler(Mutation(me, db, self._urls), **values)

    async def act(self, path: str, arguments: bytes, caller: Caller) -> Returned | Failed:
        """Run an action to its end."""
        function = self._registry.find(path, "action")
        if function is None:
            return Failed(unknown_function(path).message)
        with self._runs.of(function, caller):
            return await self._act(function, arguments, caller)

    async def _act(self, function: Function, arguments: bytes, caller: Caller) -> Returned | Failed:
        try:
            await self._spend(function, caller.subject if caller is not None else "")
            values = function.decode(arguments)
            async with asyncio.timeout(self._bounds.action_timeout_s or None):
                me = await authorise(function.caller, caller, set(), await self._database.newest())
                value = _encoded(await function.handler(Action(me, caller, self), **values))
        except Exception as error:
            public = self._public(error, function.path)
            return Failed(public.message, None if public.data is None else Raw(public.data))
        return Returned(Raw(value))

    async def run(self, identity: Caller, handler: Callable[..., Awaitable[T]], arguments: dict[str, Any]) -> T:
        """A query or a mutation run for an action: the caller's rights, a snapshot or transaction of its own."""
        function = self._registry.of(handler)
        if function.kind == "query":
            db = await self._database.newest()
            me = await authorise(function.caller, identity, set(), db)
            return await handler(Query(me, db, self._clock(), self._urls), **arguments)

        async def work(db: Writer) -> T:
            me = await authorise(function.caller, identity, set(), db)
            return await handler(Mutation(me, db, self._urls), **arguments)

        return (await self._database.transact(work))[0]

    async def _spend(self, function: Function, subject: str) -> None:
        """Count a call of this member's. Raises `RateLimited`."""
        if subject and function.rate is not None:
            await self._limits.spend(function.path, subject, function.rate)
        if subject and function.kind == "mutation":
            await self._limits.spend("mutations", subject, self._mutation_rate)

    def _lane(self, name: str) -> asyncio.Lock:
        """Mutations of one person run one after the other here: waiting costs far less than conflicting."""
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = asyncio.Lock()
        return lane

    def _public(self, error: Exception, path: str) -> PublicError:
        public = known(error)
        if public is not None:
            if not isinstance(error, ApplicationError):
                log.info("%s: %s", path, error, extra={"action": "function.refused", "function": path})
            return public
        request_id = request_of_now() or new_request_id()
        expected = isinstance(error, SchemaError | TimeoutError)
        log.error(
            "%s failed: %s", path, str(error) if expected and str(error) else type(error).__name__,
            exc_info=None if expected else error,
            extra={"action": "function.failed", "function": path, "request": request_id},
        )  # fmt: skip
        return server_error(request_id)


def _encoded(value: object, limit: int = MAX_RESULT_BYTES) -> bytes:
    """The result as it travels. Raises `Invalid` where it is more than a client can take."""
    encoded = encode_value(value)
    if len(encoded) > limit:
        raise Invalid("arguments", f"the result has more than {limit} bytes; ask for less")
    return encoded


def _failure(error: PublicError, journal: str | None) -> Failure:
    data = None if error.data is None else Raw(error.data)
    # The digest leaves the request id out: the same trouble again is not news.
    fingerprint = digest(error.data if error.data is not None else b"error")
    return Failure(error.message, data, fingerprint, journal)


class _Once:
    """Passes on the first call; says whether there was one."""

    __slots__ = ("_call", "called")

    def __init__(self, call: Callable[[], None]) -> None:
        self._call, self.called = call, False

    def __call__(self) -> None:
        if not self.called:
            self.called = True
            self._call()
