"""Functions over plain HTTP: queries, mutations and actions by POST, as the HTTP clients call them (sync-protocol 10)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Raw
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schema.errors import SnapshotGone, StoreUnavailable
from schema.values import Timestamp
from schema.wire import plain
from server.caller import CallerRefused, Callers
from server.errors import PublicError, RateLimited
from server.executor import Caller, Executor
from server.limits import Bounds, Limits, per_minute
from server.store.mongo import MongoStore
from server.web.addresses import address_of
from server.web.bodies import BodyTooLarge, BodyTooSlow, read_body
from server.web.refusals import RefusalResponse, limited
from subscriptions.effects import Failed, Returned, RunMutation, Succeeded, Undecided
from subscriptions.errors import RemoteProtocolError
from subscriptions.paths import canonical
from subscriptions.protocol import one_object
from subscriptions.version import decode_timestamp, encode_timestamp

MAX_BODY_BYTES = (16 << 20) + 2_000


PLAIN_FORMATS = ("json", "convex_clean_json")
FORMATS = (*PLAIN_FORMATS, "convex_encoded_json", "convex_json")


class UnknownFormat(Exception):
    """Results cannot be written like this."""


class Call(msgspec.Struct, frozen=True):
    """The body of a function call. Arguments are an object, or an array of one."""

    path: str
    args: Raw = Raw(b"{}")
    format: str = "json"
    ts: str | None = None


class Outcome(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The answer: status 200 for failures of functions too, because the Python client reads nothing else."""

    status: str
    value: Raw | msgspec.UnsetType = msgspec.UNSET
    error_message: str | msgspec.UnsetType = msgspec.UNSET
    error_data: Raw | msgspec.UnsetType = msgspec.UNSET

    def plain(self) -> Outcome:
        """The same for readers that know JSON and nothing else."""
        value, data = (
            each if each is msgspec.UNSET else Raw(plain(bytes(each))) for each in (self.value, self.error_data)
        )
        return msgspec.structs.replace(self, value=value, error_data=data)


class HttpFunctions:
    """The routes of the HTTP function API."""

    def __init__(self, executor: Executor, callers: Callers, store: MongoStore, limits: Limits, bounds: Bounds) -> None:
        self._executor, self._callers, self._store, self._limits = executor, callers, store, limits
        self._member_rate = per_minute(bounds.http_calls_per_minute_per_member)
        self._address_rate = per_minute(bounds.http_calls_per_minute_per_address)

    def __repr__(self) -> str:
        return f"<HttpFunctions {self._executor!r}>"

    def routes(self) -> list[Route]:
        """What to mount."""
        return [
            Route("/api/query", self._answering(self._query), methods=["POST"]),
            Route("/api/query_at_ts", self._answering(self._query), methods=["POST"]),
            Route("/api/query_ts", self._timestamp, methods=["POST"]),
            Route("/api/mutation", self._answering(self._mutation), methods=["POST"]),
            Route("/api/action", self._answering(self._action), methods=["POST"]),
        ]

    def _answering(self, run: Callable[[Call, Caller], Awaitable[Outcome]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                caller = await self._caller(request)
                call = _call(await read_body(request, MAX_BODY_BYTES))
                outcome = await run(call, caller)
                return _json(200, outcome.plain() if call.format in PLAIN_FORMATS else outcome)
            except RateLimited as error:
                return RefusalResponse(limited(error))
            except CallerRefused as refused:
                return error_response(401, "Unauthenticated", str(refused))
            except BodyTooLarge:
                return error_response(413, "RequestTooLarge", "The arguments are too large.")
            except UnknownFormat:
                return error_response(400, "BadFormat", f"The format must be one of {', '.join(FORMATS)}.")
            except BodyTooSlow:
                return error_response(408, "RequestTimeout", "The arguments did not arrive in time.")
            except RemoteProtocolError as error:
                return error_response(400, "BadRequest", error.sentence)
            except (StoreUnavailable, SnapshotGone):
                return error_response(503, "Unavailable", "We cannot answer right now. Please try again in a moment.")

        return endpoint

    async def _caller(self, request: Request) -> Caller:
        """Who calls, counted: a member wherever they are, anybody else under their address. Raises `RateLimited`."""
        address = address_of(request)
        caller = await self._callers.of_header(request.headers.get("authorization"), address)
        if caller is None:
            await self._limits.spend("HTTP calls", address, self._address_rate)
        else:
            await self._limits.spend("HTTP calls of members", caller.subject, self._member_rate)
        return caller

    async def _query(self, call: Call, caller: Caller) -> Outcome:
        ts = await self._store.newest() if call.ts is None else decode_timestamp(call.ts)
        try:
            answer = await self._executor.query(canonical(call.path), bytes(call.args), caller, ts)
        except SnapshotGone:
            # A moment too long ago: the newest state is the nearest that can still be had (sync-protocol 10.1).
            answer = await self._executor.query(
                canonical(call.path), bytes(call.args), caller, await self._store.newest()
            )
        return _failed(answer) if isinstance(answer, PublicError) else Outcome("success", Raw(answer))

    async def _mutation(self, call: Call, caller: Caller) -> Outcome:
        mutation = RunMutation(0, canonical(call.path), call.args, caller, None)
        outcome = await self._executor.mutate(mutation, lambda: None)
        if isinstance(outcome, Undecided):
            raise StoreUnavailable("the commit's outcome is unknown")
        return _settled(outcome)

    async def _action(self, call: Call, caller: Caller) -> Outcome:
        return _settled(await self._executor.act(canonical(call.path), bytes(call.args), caller))

    async def _timestamp(self, request: Request) -> Response:
        try:
            ts: Timestamp = await self._store.newest()
        except StoreUnavailable:
            return error_response(503, "Unavailable", "We cannot answer right now. Please try again in a moment.")
        return _json(200, {"ts": encode_timestamp(ts)})


def error_response(status: int, code: str, message: str) -> Response:
    """An error that is not a function's own: both keys, because clients need both (sync-protocol 10.3)."""
    return _json(status, {"code": code, "message": message})


def _call(body: bytes) -> Call:
    try:
        call = msgspec.json.decode(body, type=Call)
        args = bytes(call.args).strip()
        wrapped = msgspec.json.decode(args, type=list[Raw]) if args.startswith(b"[") else [Raw(args)]
        args = bytes(one_object(wrapped))
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        raise RemoteProtocolError("The body must be JSON of the form {path, args, format}.") from None
    if call.format not in FORMATS:
        raise UnknownFormat
    return msgspec.structs.replace(call, args=Raw(args))


def _failed(error: PublicError) -> Outcome:
    data = msgspec.UNSET if error.data is None else Raw(error.data)
    return Outcome("error", error_message=error.message, error_data=data)


def _settled(outcome: Succeeded | Returned | Failed) -> Outcome:
    if isinstance(outcome, Failed):
        return _failed(PublicError(outcome.message, None if outcome.data is None else bytes(outcome.data)))
    return Outcome("success", outcome.value)


def _json(status: int, content: object) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
