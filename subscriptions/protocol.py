"""The messages of the sync protocol, with one decoder for the client's and one encoder for the server's.

Invariant: whatever bytes arrive, `parse` returns a message or blames the peer; values and arguments are bytes that are
spliced and never re-encoded. JSON stops here.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from schema.values import Millis, Timestamp
from subscriptions import frames
from subscriptions.errors import RemoteProtocolError
from subscriptions.paths import canonical
from subscriptions.version import WireVersion, decode_timestamp

MAX_FRAME_BYTES = 32 * 1024 * 1024
MAX_ARGS_BYTES = 16 * 1024 * 1024
MAX_ARGS_NESTING = 64
NEEDS_VALUE = ("User", "Admin")

EMPTY_ARGS = Raw(b"{}")


class Connect(msgspec.Struct, frozen=True):
    """Who opened the socket, and what it has already seen. Some clients never say it."""

    session_id: str
    connection_count: int
    last_close_reason: str | None
    max_observed: Timestamp | None
    client_ts: Millis | None


class Add(msgspec.Struct, frozen=True):
    """Watch a query; the journal is what the server said of it on an earlier socket."""

    query_id: int
    path: str
    args: Raw
    journal: str | None = None


class Remove(msgspec.Struct, frozen=True):
    """Watch a query no longer."""

    query_id: int


class ModifyQuerySet(msgspec.Struct, frozen=True):
    """Move the query set from one version to a later one."""

    base_version: int
    new_version: int
    modifications: tuple[Add | Remove, ...]


class Authenticate(msgspec.Struct, frozen=True):
    """Act as somebody else from here on."""

    base_version: int
    token_type: Literal["User", "None", "Admin"]
    value: str | None = None


class Mutation(msgspec.Struct, frozen=True):
    """Change something, after all earlier mutations of this socket."""

    request_id: int
    path: str
    args: Raw


class Action(msgspec.Struct, frozen=True):
    """Do something in the outside world, beside whatever else is going on."""

    request_id: int
    path: str
    args: Raw


class Event(msgspec.Struct, frozen=True):
    """Telemetry; never answered."""

    event_type: str


ClientMessage: TypeAlias = Connect | ModifyQuerySet | Authenticate | Mutation | Action | Event


def parse(frame: bytes | str) -> ClientMessage:
    """The message in `frame`, or `RemoteProtocolError`."""
    if len(frame) > MAX_FRAME_BYTES:
        raise RemoteProtocolError(f"A message has at most {MAX_FRAME_BYTES} bytes.")
    try:
        text = frame if isinstance(frame, str) else frame.decode()
        return _message(_CLIENT.decode(text))
    except UnicodeError as error:
        raise RemoteProtocolError("WSMessageInvalidJson: a message is UTF-8 text.") from error
    except msgspec.DecodeError as error:
        raise RemoteProtocolError(f"WSMessageInvalidJson: {error}") from error
    except RecursionError as error:
        raise RemoteProtocolError("WSMessageInvalidJson: the message is nested too deeply.") from error


def _message(frame: frames.ClientFrame) -> ClientMessage:
    match frame:
        case frames.ConnectFrame():
            return _connect(frame)
        case frames.ModifyQuerySetFrame():
            edits = tuple(_edit(each) for each in frame.modifications)
            return ModifyQuerySet(frame.base_version, frame.new_version, edits)
        case frames.AuthenticateFrame():
            if frame.value is None and frame.token_type in NEEDS_VALUE:
                raise RemoteProtocolError("Authenticate needs a token, unless its type is None.")
            return Authenticate(frame.base_version, frame.token_type, frame.value)
        case frames.MutationFrame():
            return Mutation(frame.request_id, canonical(frame.udf_path), one_object(frame.args))
        case frames.ActionFrame():
            return Action(frame.request_id, canonical(frame.udf_path), one_object(frame.args))
        case frames.EventFrame():
            return Event(frame.event_type)


def _connect(frame: frames.ConnectFrame) -> Connect:
    reason, observed = frame.last_close_reason, frame.max_observed_timestamp
    return Connect(
        session_id=str(frame.session_id),
        connection_count=frame.connection_count,
        last_close_reason=reason if isinstance(reason, str) else None,
        max_observed=None if observed is None else decode_timestamp(observed),
        client_ts=frame.client_ts or None,
    )


def _edit(frame: frames.AddFrame | frames.RemoveFrame) -> Add | Remove:
    if isinstance(frame, frames.RemoveFrame):
        return Remove(frame.query_id)
    return Add(frame.query_id, canonical(frame.udf_path), one_object(frame.args), frame.journal)


def one_object(args: list[Raw]) -> Raw:
    if not args:
        return EMPTY_ARGS
    if len(args) != 1:
        raise RemoteProtocolError("Arguments are an array with exactly one object.")
    octets = bytes(args[0])  # a copy: the frame is not kept alive by one query's arguments
    if len(octets) > MAX_ARGS_BYTES:
        raise RemoteProtocolError(f"Arguments have at most {MAX_ARGS_BYTES} bytes.")
    value = _OBJECT.decode(octets)  # splicing skips what it carries, so only this sees a broken string inside
    if octets.count(b"{") + octets.count(b"[") > MAX_ARGS_NESTING and _depth(value) > MAX_ARGS_NESTING:
        raise RemoteProtocolError(f"Arguments nest at most {MAX_ARGS_NESTING} deep.")
    return Raw(octets)


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [item for each in level for item in (each.values() if isinstance(each, dict) else each)]
    return depth


class Reply(msgspec.Struct, frozen=True, rename="camel", tag_field="type"):
    """Any message of the server, field for field as it travels; no field is ever missing, save `errorData`."""


class QueryUpdated(Reply, frozen=True, tag=True):
    """A query's answer, replacing whatever was said of it before."""

    query_id: int
    value: Raw
    journal: str | None = None
    log_lines: tuple[str, ...] = ()


class QueryFailed(Reply, frozen=True, tag=True):
    """A query's failure; `errorData` only for errors the application meant to show."""

    query_id: int
    error_message: str
    journal: str | None = None
    error_data: Raw | UnsetType = UNSET
    log_lines: tuple[str, ...] = ()


class QueryRemoved(Reply, frozen=True, tag=True):
    """A query is no longer watched."""

    query_id: int


Modification: TypeAlias = QueryUpdated | QueryFailed | QueryRemoved


class Transition(Reply, frozen=True, tag=True):
    """Moves the client from one state version to the next."""

    start_version: WireVersion
    end_version: WireVersion
    modifications: tuple[Modification, ...]
    client_clock_skew: int | None = None
    server_ts: int | None = None


class TransitionChunk(Reply, frozen=True, tag=True):
    """A part of a long transition's text."""

    chunk: str
    part_number: int
    total_parts: int
    transition_id: str


class MutationResponse(Reply, frozen=True, tag=True):
    """How a mutation ended; `ts` is its commit, or null if there was none."""

    request_id: int
    success: bool
    result: Raw
    ts: str | None
    error_data: Raw | UnsetType = UNSET
    log_lines: tuple[str, ...] = ()


class ActionResponse(Reply, frozen=True, tag=True):
    """How an action ended."""

    request_id: int
    success: bool
    result: Raw
    error_data: Raw | UnsetType = UNSET
    log_lines: tuple[str, ...] = ()


class AuthError(Reply, frozen=True, tag=True):
    """The token was refused, or has run out."""

    error: str
    base_version: int
    auth_update_attempted: bool


class FatalError(Reply, frozen=True, tag=True):
    """The client broke the protocol and must not come back like this."""

    error: str


class Ping(Reply, frozen=True, tag=True):
    """A sign of life; never answered."""


ServerMessage: TypeAlias = (
    Transition | TransitionChunk | MutationResponse | ActionResponse | AuthError | FatalError | Ping
)


def encode(message: ServerMessage) -> bytes:
    """`message` as one text frame."""
    return msgspec.json.encode(message)


def weight(message: ClientMessage) -> int:
    """Roughly the bytes that keeping `message` costs."""
    match message:
        case Mutation() | Action():
            return len(bytes(message.args))
        case ModifyQuerySet():
            return sum(len(bytes(each.args)) for each in message.modifications if isinstance(each, Add))
        case Authenticate():
            return len(message.value or "")
        case _:
            return 0


_CLIENT = msgspec.json.Decoder(frames.ClientFrame)
_OBJECT = msgspec.json.Decoder(dict[str, object])
