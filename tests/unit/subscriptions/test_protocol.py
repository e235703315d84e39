"""Messages as they travel, in both directions."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from subscriptions import protocol
from subscriptions.errors import RemoteProtocolError
from subscriptions.protocol import parse
from subscriptions.version import START

RECORDED = [
    (
        '{"type":"Connect","sessionId":"a95282ec-bd91-423d-ae26-1ce77e791816","connectionCount":0,'
        '"lastCloseReason":"InitialConnect","clientTs":1795360829744}',
        protocol.Connect("a95282ec-bd91-423d-ae26-1ce77e791816", 0, "InitialConnect", None, 1795360829744),
    ),
    (
        '{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":'
        '[{"type":"Add","queryId":0,"udfPath":"messages:list","args":[{}]}]}',
        protocol.ModifyQuerySet(0, 1, (protocol.Add(0, "messages:list", Raw(b"{}")),)),
    ),
    (
        '{"type":"Authenticate","baseVersion":0,"tokenType":"User","value":"eyJ..."}',
        protocol.Authenticate(0, "User", "eyJ..."),
    ),
    (
        '{"type":"Mutation","requestId":0,"udfPath":"messages:send","args":[{"body":"b"}]}',
        protocol.Mutation(0, "messages:send", Raw(b'{"body":"b"}')),
    ),
]


@pytest.mark.parametrize(("frame", "message"), RECORDED)
def test_recorded_frames_are_understood(frame: str, message: protocol.ClientMessage) -> None:
    assert parse(frame) == message
    assert parse(frame.encode()) == message


def connect(**fields: object) -> protocol.ClientMessage:
    plain = {"type": "Connect", "sessionId": "a95282ec-bd91-423d-ae26-1ce77e791816", "connectionCount": 1}
    return parse(msgspec.json.encode(plain | fields))


@pytest.mark.parametrize("reason", [None, "", "x" * 5000, 7, {"a": [1]}])
def test_any_close_reason_will_do(reason: object) -> None:
    message = connect(lastCloseReason=reason)
    assert isinstance(message, protocol.Connect)
    assert message.last_close_reason == (reason if isinstance(reason, str) else None)


@pytest.mark.parametrize("fields", [{}, {"clientTs": 0}, {"clientTs": None}])
def test_a_clock_at_zero_is_no_clock(fields: dict[str, object]) -> None:
    message = connect(**fields)
    assert isinstance(message, protocol.Connect)
    assert message.client_ts is None


def test_what_was_observed_is_a_timestamp() -> None:
    message = connect(maxObservedTimestamp="AQAAAAAAAAA=", somethingNew=1)
    assert isinstance(message, protocol.Connect)
    assert message.max_observed == 1


def add(args: str = "[{}]", more: str = "") -> protocol.Add:
    edit = f'{{"type":"Add","queryId":1,"udfPath":"m.js:f","args":{args}{more}}}'
    message = parse(f'{{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{edit}]}}')
    assert isinstance(message, protocol.ModifyQuerySet)
    (only,) = message.modifications
    assert isinstance(only, protocol.Add)
    return only


@pytest.mark.parametrize(
    ("args", "one"), [("[]", b"{}"), ("[{}]", b"{}"), ('[ {"b": 3.0 , "a":1} ]', b'{"b": 3.0 , "a":1}')]
)
def test_arguments_are_the_bytes_of_one_object(args: str, one: bytes) -> None:
    assert bytes(add(args).args) == one


@pytest.mark.parametrize(
    "args",
    [
        "{}",
        "null",
        "[{},{}]",
        "[1]",
        "[null]",
        '[{"a":"\\ud800"}]',
        "[{" + '"a":[' * 64 + "]" * 64 + "}]",
        '[{"a":1e999}]',
    ],
)
def test_other_arguments_are_refused(args: str) -> None:
    with pytest.raises(RemoteProtocolError):
        add(args)


def test_arguments_may_nest_as_deep_as_values_may() -> None:
    add('[{"a":' + "[" * 63 + "]" * 63 + "}]")


@pytest.mark.parametrize(("more", "journal"), [("", None), (',"journal":null', None), (',"journal":"j"', "j")])
def test_no_journal_is_no_journal(more: str, journal: str | None) -> None:
    only = add(more=more)
    assert (only.journal, only.path) == (journal, "m:f")


BROKEN = [
    b"", b"{", b"[]", b"null", b'"Connect"', b"{}", b'{"type":1}', b'{"type":"Nonsense"}', b"\xff",
    b"[" * 100_000, b'{"type":"Event"}', b'{"type":"Event","eventType":"\xff"}',
    b'{"type":"Connect","sessionId":"no","connectionCount":0}',
    b'{"type":"Connect","sessionId":"a95282ec-bd91-423d-ae26-1ce77e791816","connectionCount":-1}',
    b'{"type":"Connect","sessionId":"a95282ec-bd91-423d-ae26-1ce77e791816","connectionCount":0,"maxObservedTimestamp":"x"}',
    b'{"type":"Mutation","requestId":4294967296,"udfPath":"a:f","args":[{}]}',
    b'{"type":"Mutation","requestId":1.5,"udfPath":"a:f","args":[{}]}',
    b'{"type":"Mutation","requestId":1,"udfPath":"a.ts:f","args":[{}]}',
    b'{"type":"Action","requestId":1,"udfPath":"a:f"}',
    b'{"type":"Authenticate","baseVersion":0,"tokenType":"User"}',
    b'{"type":"Authenticate","baseVersion":0,"tokenType":"King","value":"x"}',
    b'{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1}',
    b'{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Edit"}]}',
]  # fmt: skip


@pytest.mark.parametrize("frame", BROKEN)
def test_broken_frames_are_the_peers_mistake(frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(frame)


def test_a_frame_has_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_FRAME_BYTES", 10)
    with pytest.raises(RemoteProtocolError, match="at most 10"):
        parse('{"type":"Event","eventType":"x"}')


def test_arguments_have_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_ARGS_BYTES", 10)
    with pytest.raises(RemoteProtocolError, match="at most 10"):
        add('[{"a":"0123456789"}]')


V0 = '{"querySet":0,"identity":0,"ts":"AAAAAAAAAAA="}'

SENT: list[tuple[protocol.ServerMessage, str]] = [
    (protocol.Ping(), '{"type":"Ping"}'),
    (protocol.FatalError("no"), '{"type":"FatalError","error":"no"}'),
    (
        protocol.AuthError("no", 2, True),
        '{"type":"AuthError","error":"no","baseVersion":2,"authUpdateAttempted":true}',
    ),
    (
        protocol.Transition(
            START.wire(),
            START.wire(),
            (
                protocol.QueryUpdated(1, Raw(b'{"a": 3.0}'), "j"),
                protocol.QueryFailed(2, "no"),
                protocol.QueryFailed(3, "no", None, Raw(b"null")),
                protocol.QueryRemoved(4),
            ),
            None,
            5,
        ),
        f'{{"type":"Transition","startVersion":{V0},"endVersion":{V0},"modifications":['
        '{"type":"QueryUpdated","queryId":1,"value":{"a": 3.0},"journal":"j","logLines":[]},'
        '{"type":"QueryFailed","queryId":2,"errorMessage":"no","journal":null,"logLines":[]},'
        '{"type":"QueryFailed","queryId":3,"errorMessage":"no","journal":null,"errorData":null,"logLines":[]},'
        '{"type":"QueryRemoved","queryId":4}],"clientClockSkew":null,"serverTs":5}',
    ),
    (
        protocol.TransitionChunk("{", 0, 2, "7"),
        '{"type":"TransitionChunk","chunk":"{","partNumber":0,"totalParts":2,"transitionId":"7"}',
    ),
    (
        protocol.MutationResponse(1, False, Raw(b'"no"'), None),
        '{"type":"MutationResponse","requestId":1,"success":false,"result":"no","ts":null,"logLines":[]}',
    ),
    (
        protocol.ActionResponse(1, True, Raw(b"3.0")),
        '{"type":"ActionResponse","requestId":1,"success":true,"result":3.0,"logLines":[]}',
    ),
]


@pytest.mark.parametrize(("message", "frame"), SENT)
def test_replies_have_exactly_their_fields(message: protocol.ServerMessage, frame: str) -> None:
    assert protocol.encode(message).decode() == frame


def test_weight_counts_what_is_kept() -> None:
    assert protocol.weight(protocol.Mutation(0, "a:f", Raw(b"{}"))) == 2
    assert protocol.weight(protocol.ModifyQuerySet(0, 1, (protocol.Add(0, "a:f", Raw(b"{}")), protocol.Remove(1)))) == 2
    assert protocol.weight(protocol.Authenticate(0, "User", "abc")) == 3
    assert protocol.weight(protocol.Event("x")) == 0
