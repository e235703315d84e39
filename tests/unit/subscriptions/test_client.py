"""The protocol from the client's side."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest
from msgspec import Raw

from schema.values import Timestamp
from subscriptions import protocol
from subscriptions.client import LOST, ClientMachine
from subscriptions.errors import RemoteProtocolError, VersionMismatch
from subscriptions.events import (
    ActionSettled,
    Advanced,
    AuthRejected,
    Fatal,
    MutationSettled,
    QueryChanged,
    Trouble,
)
from subscriptions.protocol import encode, parse
from subscriptions.transition import transition
from subscriptions.version import START, StateVersion, encode_timestamp

SESSION = UUID("a95282ec-bd91-423d-ae26-1ce77e791816")


def online() -> ClientMachine:
    client = ClientMachine(SESSION)
    client.connect()
    return client


def at(query_set: int, ts: int, identity: int = 0) -> StateVersion:
    return StateVersion(query_set, identity, Timestamp(ts))


def moved(start: StateVersion, end: StateVersion, *changes: protocol.Modification) -> bytes:
    return transition(start, end, list(changes), None, 0.0)


def answered(request_id: int, ts: int) -> bytes:
    return encode(protocol.MutationResponse(request_id, True, Raw(b"1"), encode_timestamp(Timestamp(ts))))


def test_a_socket_opens_with_who_we_are_and_all_we_want() -> None:
    client = ClientMachine(SESSION)
    client.authenticate("t")
    client.subscribe("m:f", {"b": 1, "a": 2})
    client.mutation("m:g", {})
    messages = [parse(each) for each in client.connect(client_ts=5)]
    assert messages == [
        protocol.Connect(str(SESSION), 0, "InitialConnect", None, 5.0),
        protocol.Authenticate(0, "User", "t"),
        protocol.ModifyQuerySet(0, 1, (protocol.Add(0, "m:f", Raw(b'{"a":2,"b":1}')),)),
        protocol.Mutation(0, "m:g", Raw(b"{}")),
    ]


def test_the_same_query_twice_is_one_add_and_one_remove() -> None:
    client = online()
    query_id, (frame,) = client.subscribe("m:f", {"a": 1})
    assert parse(frame) == protocol.ModifyQuerySet(1, 2, (protocol.Add(0, "m:f", Raw(b'{"a":1}')),))
    assert client.subscribe("m.js:f", {"a": 1}) == (query_id, [])
    assert client.unsubscribe(query_id) == []
    (frame,) = client.unsubscribe(query_id)
    assert parse(frame) == protocol.ModifyQuerySet(2, 3, (protocol.Remove(0),))


def test_a_reconnect_brings_journals_back_and_what_has_not_settled() -> None:
    client = online()
    query_id, _ = client.subscribe("m:f", {})
    client.mutation("m:g", {})
    client.action("m:h", {})
    client.receive(moved(START, at(2, 5), protocol.QueryUpdated(query_id, Raw(b"1"), "j")))
    client.receive(answered(0, 7))
    assert client.disconnect() == [ActionSettled(1, LOST)]
    hello, edit, again = (parse(each) for each in client.connect(reason=None))
    assert hello == protocol.Connect(str(SESSION), 1, None, Timestamp(7), None)
    assert edit == protocol.ModifyQuerySet(0, 1, (protocol.Add(0, "m:f", Raw(b"{}"), "j"),))
    assert again == protocol.Mutation(0, "m:g", Raw(b"{}"))
    assert client.receive(answered(0, 7)) == []


def test_requests_made_offline_are_sent_later() -> None:
    client = ClientMachine(SESSION)
    assert client.action("m:h", {}) == (0, [])
    assert client.disconnect() == []
    assert parse(client.connect()[-1]) == protocol.Action(0, "m:h", Raw(b"{}"))


def test_a_mutation_settles_with_the_transition_that_shows_it() -> None:
    client = online()
    client.mutation("m:g", {})
    assert client.receive(answered(0, 7)) == []
    assert client.receive(moved(START, at(1, 6))) == [Advanced(at(1, 6))]
    end = at(1, 7)
    assert client.receive(moved(at(1, 6), end)) == [MutationSettled(0, Raw(b"1")), Advanced(end)]
    assert client.unsettled == 0


def test_failures_settle_at_once() -> None:
    client = online()
    client.mutation("m:g", {})
    client.action("m:h", {})
    failed = protocol.MutationResponse(0, False, Raw(b'"no"'), None, Raw(b"null"))
    assert client.receive(encode(failed)) == [MutationSettled(0, Trouble("no", Raw(b"null")))]
    assert client.receive(encode(protocol.ActionResponse(1, True, Raw(b"2")))) == [ActionSettled(1, Raw(b"2"))]


def test_answers_change_and_unchanged_ones_are_not_mentioned() -> None:
    client = online()
    query_id, _ = client.subscribe("m:f", {})
    steps: list[tuple[protocol.Modification, object]] = [
        (protocol.QueryUpdated(query_id, Raw(b"1")), Raw(b"1")),
        (protocol.QueryUpdated(query_id, Raw(b"1")), None),
        (protocol.QueryFailed(query_id, "no"), Trouble("no")),
        (protocol.QueryUpdated(99, Raw(b"1")), None),
        (protocol.QueryRemoved(99), None),
    ]
    version = START
    for change, told in steps:
        start, version = version, at(2, 5)
        changed = [] if told is None else [QueryChanged(query_id, told)]  # type: ignore[arg-type]
        assert client.receive(moved(start, version, change)) == [*changed, Advanced(version)]
    assert (client.answer(query_id), client.journal(query_id)) == (Trouble("no"), None)


@pytest.mark.parametrize(
    "frame",
    [
        moved(START, at(2, 5)),
        moved(START, at(1, 5, identity=1)),
        moved(at(1, 5), at(1, 6)),
        answered(3, 1),
        encode(protocol.TransitionChunk("{", 1, 2, "1")),
        b'{"type":"Nonsense"}',
        b"\xff",
    ],
)
def test_a_server_that_breaks_the_protocol_is_noticed(frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        online().receive(frame)


def test_a_transition_from_elsewhere_is_a_mismatch() -> None:
    with pytest.raises(VersionMismatch):
        online().receive(moved(at(1, 4), at(1, 5)))


def test_nothing_is_answered_twice() -> None:
    client = online()
    client.mutation("m:g", {})
    client.receive(answered(0, 7))
    with pytest.raises(RemoteProtocolError):
        client.receive(answered(0, 7))


def test_parts_are_put_together() -> None:
    client, whole = online(), moved(START, at(1, 5)).decode()
    chunks = [encode(protocol.TransitionChunk(text, part, 2, "1")) for part, text in enumerate((whole[:9], whole[9:]))]
    assert client.receive(chunks[0]) == []
    assert client.receive(encode(protocol.Ping())) == []
    assert client.receive(chunks[1]) == [Advanced(at(1, 5))]
    client.receive(chunks[0])
    with pytest.raises(RemoteProtocolError):
        client.receive(encode(protocol.FatalError("x")))


def test_only_a_transition_comes_in_parts() -> None:
    with pytest.raises(RemoteProtocolError):
        online().receive(encode(protocol.TransitionChunk('{"type":"Ping"}', 0, 1, "1")))


def test_an_error_that_a_later_token_has_overtaken_is_ignored() -> None:
    client = online()
    client.authenticate("a")
    error = encode(protocol.AuthError("no", 0, True))
    assert client.receive(error) == [AuthRejected("no")]
    client.authenticate("b")
    assert client.receive(error) == []


def test_the_last_word() -> None:
    client = online()
    assert client.receive(encode(protocol.FatalError("why"))) == [Fatal("why")]
    assert repr(client).startswith("<ClientMachine online")
    assert msgspec.json.decode(client.authenticate(None)[0])["tokenType"] == "None"
