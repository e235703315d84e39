"""Any bytes are a message, or blamed on the peer; nothing else happens."""

from __future__ import annotations

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from subscriptions import protocol
from subscriptions.errors import RemoteProtocolError

FIELDS = (
    "type", "sessionId", "connectionCount", "lastCloseReason", "maxObservedTimestamp", "clientTs", "baseVersion",
    "newVersion", "modifications", "queryId", "udfPath", "args", "journal", "tokenType", "value", "requestId", "eventType",
)  # fmt: skip
WORDS = (
    "Connect", "ModifyQuerySet", "Authenticate", "Mutation", "Action", "Event", "Add", "Remove", "User", "None", "a:f",
    "a95282ec-bd91-423d-ae26-1ce77e791816", "AQAAAAAAAAA=",
)  # fmt: skip

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2**32)
    | st.floats(allow_nan=False)
    | st.sampled_from(WORDS)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=20,
)
frames = st.dictionaries(st.sampled_from(FIELDS), values, max_size=8)
kinds = st.sampled_from(WORDS[:6])


def parsed_or_blamed(frame: bytes | str) -> protocol.ClientMessage | None:
    try:
        return protocol.parse(frame)
    except RemoteProtocolError as error:
        assert error.sentence  # noqa: PT017
        return None


@given(st.binary() | st.text(st.characters(codec=None)))
@example("\ud800")
@example(b"\xef\xbb\xbf{}")
@example(b'{"type":"Event","eventType":"' + b"\\" * 1001)
@example(b'{"a":' * 5_000)
def test_any_bytes(frame: bytes | str) -> None:
    parsed_or_blamed(frame)


@given(frames, kinds)
def test_any_fields(fields: dict[str, object], kind: str) -> None:
    message = parsed_or_blamed(msgspec.json.encode(fields | {"type": kind}))
    if isinstance(message, protocol.Mutation | protocol.Action):
        assert isinstance(msgspec.json.decode(message.args), dict)


@given(kinds, st.integers(0, 200), st.binary(max_size=4))
def test_a_good_frame_damaged(kind: str, at: int, damage: bytes) -> None:
    whole = msgspec.json.encode(
        {
            "type": kind, "sessionId": WORDS[-2], "connectionCount": 1, "baseVersion": 0, "newVersion": 1,
            "tokenType": "User", "value": "t", "requestId": 1, "udfPath": "a:f", "args": [{"a": "b"}], "eventType": "x",
            "modifications": [{"type": "Add", "queryId": 1, "udfPath": "a:f", "args": [{}], "journal": None}],
        }
    )  # fmt: skip
    assert parsed_or_blamed(whole) is not None
    parsed_or_blamed(whole[:at] + damage + whole[at + len(damage) :])
    parsed_or_blamed(whole[:at])
