"""The client's messages exactly as they travel, field by field; `protocol` turns them into what the machine reads.

Invariant: these structs know the shape of a frame and nothing of its meaning.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias
from uuid import UUID

import msgspec

U32: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
ClientClock: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=2**53)]


class Frame(msgspec.Struct, frozen=True, rename="camel", tag_field="type", omit_defaults=True):
    """Any message of a client; fields we do not know are ignored."""


class ConnectFrame(Frame, frozen=True, tag="Connect"):
    session_id: UUID
    connection_count: U32
    last_close_reason: object = None
    max_observed_timestamp: str | None = None
    client_ts: ClientClock | None = None


class AddFrame(Frame, frozen=True, tag="Add"):
    query_id: U32
    udf_path: str
    args: list[msgspec.Raw]
    journal: str | None = None


class RemoveFrame(Frame, frozen=True, tag="Remove"):
    query_id: U32


class ModifyQuerySetFrame(Frame, frozen=True, tag="ModifyQuerySet"):
    base_version: U32
    new_version: U32
    modifications: list[AddFrame | RemoveFrame]


class AuthenticateFrame(Frame, frozen=True, tag="Authenticate"):
    base_version: U32
    token_type: Literal["User", "None", "Admin"]
    value: str | None = None


class MutationFrame(Frame, frozen=True, tag="Mutation"):
    request_id: U32
    udf_path: str
    args: list[msgspec.Raw]


class ActionFrame(Frame, frozen=True, tag="Action"):
    request_id: U32
    udf_path: str
    args: list[msgspec.Raw]


class EventFrame(Frame, frozen=True, tag="Event"):
    event_type: str


ClientFrame: TypeAlias = (
    ConnectFrame | ModifyQuerySetFrame | AuthenticateFrame | MutationFrame | ActionFrame | EventFrame
)
