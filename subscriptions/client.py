"""`ClientMachine`: the sync protocol from the client's side, deciding everything and performing nothing.

Invariant: only a transition that starts at the version held here moves it, and a mutation settles successfully only
once a transition has reached its commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, Raw

from schema.values import ZERO, Timestamp
from subscriptions import frames, protocol
from subscriptions.errors import RemoteProtocolError, VersionMismatch
from subscriptions.events import (
    ActionSettled,
    Advanced,
    AuthRejected,
    ClientEvent,
    Fatal,
    MutationSettled,
    QueryChanged,
    Trouble,
)
from subscriptions.paths import canonical
from subscriptions.version import START, StateVersion, decode_timestamp, encode_timestamp

Kind: TypeAlias = Literal["mutation", "action"]

LOST = Trouble("Connection lost while action was in flight")

_SERVER: msgspec.json.Decoder[protocol.ServerMessage] = msgspec.json.Decoder(protocol.ServerMessage)
_TEXT = msgspec.json.Decoder(str)


class Watch(msgspec.Struct, eq=False):
    """A query somebody here wants to see, and how many want to."""

    path: str
    args: Raw
    wanted: int = 1
    journal: str | None = None
    answer: Raw | Trouble | None = None

    def frame(self, query_id: int) -> frames.AddFrame:
        return frames.AddFrame(query_id, self.path, [self.args], self.journal)


class Request(msgspec.Struct, eq=False):
    """A mutation or an action that has not settled. `value` waits for a transition to `ts`."""

    kind: Kind
    frame: bytes
    sent: bool = False
    value: Raw | None = None
    ts: Timestamp = ZERO


class ClientMachine:
    """One client over any number of sockets. Methods return the frames to send; offline they return none."""

    __slots__ = (
        "_connections",
        "_identity",
        "_next_query",
        "_next_request",
        "_observed",
        "_online",
        "_parts",
        "_query_set",
        "_requests",
        "_session_id",
        "_token",
        "_watches",
        "version",
    )  # fmt: skip

    def __init__(self, session_id: UUID) -> None:
        self._session_id = session_id
        self._watches: dict[int, Watch] = {}
        self._requests: dict[int, Request] = {}
        self._next_query = self._next_request = self._connections = 0
        self._query_set = self._identity = 0
        self.version: StateVersion = START
        self._observed: Timestamp = ZERO
        self._token: str | None = None
        self._online = False
        self._parts: list[str] = []

    def __repr__(self) -> str:
        line = "online" if self._online else "offline"
        return f"<ClientMachine {line} at {self.version}, {len(self._watches)} queries, {len(self._requests)} requests>"

    @property
    def unsettled(self) -> int:
        """How many mutations and actions have not settled."""
        return len(self._requests)

    def answer(self, query_id: int) -> Raw | Trouble | None:
        """The answer held, if there is one."""
        return self._watches[query_id].answer

    def journal(self, query_id: int) -> str | None:
        """The journal held, if there is one."""
        return self._watches[query_id].journal

    def connect(self, client_ts: int = 0, reason: str | None = "InitialConnect") -> list[bytes]:
        """A socket is open: who we are, everything we watch, everything that has not settled."""
        observed = encode_timestamp(self._observed) if self._observed else None
        hello = frames.ConnectFrame(self._session_id, self._connections, reason, observed, client_ts)
        self._connections += 1
        self._online, self.version, self._parts = True, START, []
        self._query_set = self._identity = 0
        everything = [watch.frame(query_id) for query_id, watch in self._watches.items()]
        burst = [msgspec.json.encode(hello), *(self.authenticate(self._token) if self._token else [])]
        burst += self._modify(everything)
        for request in self._requests.values():
            request.sent, request.value = True, None
            burst.append(request.frame)
        return burst

    def disconnect(self) -> list[ClientEvent]:
        """The socket is gone. What an action did is unknown; everything else goes on with the next one."""
        self._online = False
        lost = [each for each, request in self._requests.items() if request.kind == "action" and request.sent]
        for request_id in lost:
            del self._requests[request_id]
        return [ActionSettled(request_id, LOST) for request_id in lost]

    def authenticate(self, token: str | None) -> list[bytes]:
        """Act as the token's owner, or as nobody."""
        self._token = token
        if not self._online:
            return []
        claim = frames.AuthenticateFrame(self._identity, "None" if token is None else "User", token)
        self._identity += 1
        return [msgspec.json.encode(claim)]

    def subscribe(self, path: str, args: Mapping[str, object]) -> tuple[int, list[bytes]]:
        """Watch a query; the same path and arguments are the same query."""
        path, encoded = canonical(path), _args(args)
        for query_id, watch in self._watches.items():
            if watch.path == path and watch.args == encoded:
                watch.wanted += 1
                return query_id, []
        query_id, watch = self._next_query, Watch(path, encoded)
        self._next_query += 1
        self._watches[query_id] = watch
        return query_id, self._modify([watch.frame(query_id)])

    def unsubscribe(self, query_id: int) -> list[bytes]:
        """Watch a query no longer; the last to leave removes it."""
        watch = self._watches[query_id]
        watch.wanted -= 1
        if watch.wanted:
            return []
        del self._watches[query_id]
        return self._modify([frames.RemoveFrame(query_id)])

    def mutation(self, path: str, args: Mapping[str, object]) -> tuple[int, list[bytes]]:
        """Ask for a mutation."""
        return self._request(frames.MutationFrame(self._next_request, path, [_args(args)]))

    def action(self, path: str, args: Mapping[str, object]) -> tuple[int, list[bytes]]:
        """Ask for an action."""
        return self._request(frames.ActionFrame(self._next_request, path, [_args(args)]))

    def receive(self, frame: bytes) -> list[ClientEvent]:
        """Take in one message. Raises `RemoteProtocolError` when the server breaks the protocol."""
        message = _decoded(frame)
        if self._parts and not isinstance(message, protocol.TransitionChunk | protocol.Ping):
            raise RemoteProtocolError("A transition was interrupted between its parts.")
        match message:
            case protocol.Transition():
                return self._transition(message)
            case protocol.TransitionChunk():
                return self._part(message)
            case protocol.MutationResponse() | protocol.ActionResponse():
                return self._response(message)
            case protocol.AuthError():
                overtaken = message.base_version + 1 < self._identity
                return [] if overtaken else [AuthRejected(message.error)]
            case protocol.FatalError():
                return [Fatal(message.error)]
            case protocol.Ping():
                return []

    def _transition(self, message: protocol.Transition) -> list[ClientEvent]:
        start, end = StateVersion.of(message.start_version), StateVersion.of(message.end_version)
        if start != self.version:
            raise VersionMismatch("client", held=self.version, offered=start)
        if end.ts < start.ts or end.query_set > self._query_set or end.identity > self._identity:
            raise RemoteProtocolError(f"There is no way from {start} to {end}.")
        events: list[ClientEvent] = []
        for change in message.modifications:
            watch = self._watches.get(change.query_id)
            if watch is None or isinstance(change, protocol.QueryRemoved):
                continue
            answer = change.value if isinstance(change, protocol.QueryUpdated) else _trouble(change)
            watch.journal = change.journal
            if watch.answer != answer:
                watch.answer = answer
                events.append(QueryChanged(change.query_id, answer))
        self.version, self._observed = end, max(self._observed, end.ts)
        for request_id, request in list(self._requests.items()):
            if request.value is not None and request.ts <= end.ts:
                del self._requests[request_id]
                events.append(MutationSettled(request_id, request.value))
        return [*events, Advanced(end)]

    def _part(self, message: protocol.TransitionChunk) -> list[ClientEvent]:
        if message.part_number != len(self._parts):
            raise RemoteProtocolError("The parts of a transition are out of order.")
        self._parts.append(message.chunk)
        if len(self._parts) < message.total_parts:
            return []
        whole, self._parts = _decoded("".join(self._parts)), []
        if not isinstance(whole, protocol.Transition):
            raise RemoteProtocolError("Only a transition may come in parts.")
        return self._transition(whole)

    def _response(self, message: protocol.MutationResponse | protocol.ActionResponse) -> list[ClientEvent]:
        request = self._requests.get(message.request_id)
        mutation = isinstance(message, protocol.MutationResponse)
        if request is None or request.value is not None or mutation is not (request.kind == "mutation"):
            raise RemoteProtocolError(f"Request {message.request_id} was not made, or is answered already.")
        if isinstance(message, protocol.MutationResponse) and message.success and message.ts is not None:
            request.value, request.ts = message.result, decode_timestamp(message.ts)
            self._observed = max(self._observed, request.ts)
            return []
        del self._requests[message.request_id]
        outcome = message.result if message.success else _trouble(message)
        settled = MutationSettled if mutation else ActionSettled
        return [settled(message.request_id, outcome)]

    def _request(self, frame: frames.MutationFrame | frames.ActionFrame) -> tuple[int, list[bytes]]:
        self._next_request += 1
        kind: Kind = "mutation" if isinstance(frame, frames.MutationFrame) else "action"
        request = Request(kind, msgspec.json.encode(frame), sent=self._online)
        self._requests[frame.request_id] = request
        return frame.request_id, [request.frame] if self._online else []

    def _modify(self, edits: Sequence[frames.AddFrame | frames.RemoveFrame]) -> list[bytes]:
        if not self._online:
            return []
        base, self._query_set = self._query_set, self._query_set + 1
        return [msgspec.json.encode(frames.ModifyQuerySetFrame(base, self._query_set, list(edits)))]


def _args(args: Mapping[str, object]) -> Raw:
    return Raw(msgspec.json.encode(args, order="deterministic"))


def _decoded(frame: bytes | str) -> protocol.ServerMessage:
    try:
        return _SERVER.decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RemoteProtocolError(f"The server's message cannot be read: {error}") from error


def _trouble(message: protocol.QueryFailed | protocol.MutationResponse | protocol.ActionResponse) -> Trouble:
    data = None if message.error_data is UNSET else message.error_data
    text = message.error_message if isinstance(message, protocol.QueryFailed) else _TEXT.decode(message.result)
    return Trouble(text, data)
