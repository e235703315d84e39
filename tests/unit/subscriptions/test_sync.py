"""The rules of `SyncMachine`, one test each."""

from __future__ import annotations

from typing import TypeVar

import msgspec
import pytest
from msgspec import Raw

from schema.values import Timestamp
from subscriptions import protocol, transition
from subscriptions.effects import (
    Effect,
    Finish,
    Refresh,
    Result,
    RunMutation,
    Send,
    Succeeded,
    Value,
    Verify,
)
from subscriptions.errors import LocalProtocolError
from subscriptions.sync import SyncMachine
from subscriptions.version import StateVersion, encode_timestamp

SESSION = "a95282ec-bd91-423d-ae26-1ce77e791816"
NOW = 1_000_000.0
DRAINED = Finish(1000, "", drain=True)
E_ = TypeVar("E_")


def ts(number: int) -> Timestamp:
    return Timestamp(number)


def done(at: int) -> Succeeded:
    return Succeeded(Raw(b"null"), ts(at))


def add(query_id: int, journal: str | None = None) -> protocol.Add:
    return protocol.Add(query_id, "m:f", Raw(b"{}"), journal)


class Socket:
    """A machine with the few words these tests need."""

    def __init__(self, *, chunks: bool = False) -> None:
        self.machine: SyncMachine[str] = SyncMachine("anyone", chunks=chunks)
        self.query_set = 0
        self.identity = 0

    def hear(self, message: protocol.ClientMessage, now: float = NOW) -> list[Effect[str]]:
        effects = self.machine.receive(message, now)
        self.machine.validate()
        return effects

    def connect(self, count: int = 0, observed: int | None = None, client_ts: float | None = None) -> list[Effect[str]]:
        seen = None if observed is None else ts(observed)
        return self.hear(protocol.Connect(SESSION, count, None, seen, client_ts))

    def edit(self, *edits: protocol.Add | protocol.Remove) -> None:
        self.query_set += 1
        assert self.hear(protocol.ModifyQuerySet(self.query_set - 1, self.query_set, edits)) == []

    def claim(self, token: str) -> None:
        self.identity += 1
        assert self.hear(protocol.Authenticate(self.identity - 1, "User", token)) == [Verify(token)]

    def sign_in(self, caller: str, expires_at: float | None = None) -> list[Effect[str]]:
        self.claim("token of " + caller)
        return self.machine.authenticated(caller, expires_at, NOW)

    def mutate(self, request_id: int, now: float = NOW) -> list[Effect[str]]:
        return self.hear(protocol.Mutation(request_id, "m:f", Raw(b"{}")), now)

    def plan(self, position: int, now: float = NOW) -> Refresh[str]:
        effects = self.machine.plan(ts(position), now)
        self.machine.validate()
        return only(effects, Refresh)

    def no_plan(self, position: int, now: float = NOW) -> bool:
        return self.machine.plan(ts(position), now) == []

    def finish(self, refresh: Refresh[str], text: str = "a", journal: str | None = None) -> dict[str, object]:
        result = Value(Raw(f'"{text}"'.encode()), text.encode(), journal)
        results: dict[int, Result] = {each.query_id: result for each in refresh.queries}
        effects = self.machine.complete(refresh, results, NOW)
        self.machine.validate()
        return frame(only(effects, Send))

    def turn(self, position: int, text: str = "a") -> dict[str, object]:
        return self.finish(self.plan(position), text)


def only(effects: list[Effect[str]], kind: type[E_]) -> E_:
    (effect,) = effects
    assert isinstance(effect, kind)
    return effect


def frame(send: Effect[str]) -> dict[str, object]:
    assert isinstance(send, Send)
    decoded = msgspec.json.decode(send.frame)
    assert isinstance(decoded, dict)
    return decoded


def version(query_set: int, identity: int, at: int) -> dict[str, object]:
    return {"querySet": query_set, "identity": identity, "ts": encode_timestamp(ts(at))}


# ── transitions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_said_before_something_is_asked() -> None:
    socket = Socket()
    socket.connect()
    assert socket.no_plan(5)
    assert not socket.machine.dirty


def test_first_transition_starts_at_nothing_and_the_chain_is_unbroken() -> None:
    socket = Socket()
    socket.edit(add(0))
    first = socket.turn(5)
    assert (first["startVersion"], first["endVersion"]) == (version(0, 0, 0), version(1, 0, 5))
    socket.edit(add(1))
    second = socket.turn(7)
    assert (second["startVersion"], second["endVersion"]) == (version(1, 0, 5), version(2, 0, 7))
    assert socket.machine.version == StateVersion(2, 0, ts(7))


def test_works_without_connect() -> None:
    socket = Socket()
    socket.edit(add(0))
    assert socket.turn(5)["clientClockSkew"] is None
    assert only(socket.mutate(0), RunMutation).session_id is None


def test_skew_is_repeated_in_every_transition() -> None:
    socket = Socket()
    socket.connect(client_ts=NOW - 2_500)
    for position in (5, 6):
        socket.edit()
        assert socket.turn(position)["clientClockSkew"] == -2_500


def test_timestamps_never_go_backwards() -> None:
    socket = Socket()
    socket.edit(add(0))
    socket.turn(9)
    socket.edit()
    assert socket.machine.floor == 9
    assert socket.no_plan(8)
    assert socket.turn(9)["endVersion"] == version(2, 0, 9)


def test_what_the_client_has_observed_is_a_floor() -> None:
    socket = Socket()
    socket.connect(observed=20)
    socket.edit(add(0))
    assert socket.no_plan(19)
    assert socket.plan(20)


def test_an_absurd_observation_is_refused() -> None:
    socket = Socket()
    assert socket.connect(observed=(2_000 << 32)) == [Finish(1011, "InternalServerError", drain=False)]


def test_an_empty_transition_is_still_sent() -> None:
    socket = Socket()
    socket.edit()
    assert socket.turn(5)["modifications"] == []


def test_unchanged_answers_are_left_out() -> None:
    socket = Socket()
    socket.edit(add(0))
    socket.turn(5)
    socket.machine.invalidate([0])
    assert socket.turn(6)["modifications"] == []
    socket.machine.invalidate([0])
    assert len(socket.turn(7, "b")["modifications"]) == 1  # type: ignore[arg-type]


def test_one_refresh_at_a_time() -> None:
    socket = Socket()
    socket.edit(add(0))
    refresh = socket.plan(5)
    socket.edit(add(1))
    assert socket.no_plan(6)
    assert socket.finish(refresh)["endVersion"] == version(1, 0, 5)
    assert [each.query_id for each in socket.plan(6).queries] == [1]


def test_invalidated_in_flight_runs_again() -> None:
    socket = Socket()
    socket.edit(add(0))
    refresh = socket.plan(5)
    socket.machine.invalidate([0])
    socket.finish(refresh)
    assert socket.machine.dirty
    assert [each.query_id for each in socket.plan(6).queries] == [0]


def test_an_abandoned_refresh_leaves_everything_stale() -> None:
    socket = Socket()
    socket.edit(add(0), add(1), protocol.Remove(1))
    refresh = socket.plan(5)
    socket.machine.abandon(refresh)
    again = socket.plan(6)
    assert (again.queries, again.removed) == (refresh.queries, (1,))


def test_a_refresh_not_in_flight_is_our_mistake() -> None:
    socket = Socket()
    socket.edit(add(0))
    refresh = socket.plan(5)
    socket.finish(refresh)
    with pytest.raises(LocalProtocolError):
        socket.machine.complete(refresh, {}, NOW)
    with pytest.raises(LocalProtocolError):
        socket.machine.abandon(refresh)


def test_invalidating_strangers_changes_nothing() -> None:
    socket = Socket()
    socket.machine.invalidate([1, 2])
    assert not socket.machine.dirty


def test_edits_settle_before_a_refresh() -> None:
    socket = Socket()
    socket.edit(add(0))
    assert socket.machine.settling
    socket.turn(5)
    socket.machine.invalidate([0])
    assert not socket.machine.settling


def test_journals_go_in_and_come_out_and_survive_an_identity() -> None:
    socket = Socket()
    socket.edit(add(0, "j0"))
    refresh = socket.plan(5)
    assert refresh.queries[0].journal == "j0"
    assert socket.finish(refresh, journal="j1")["modifications"] == [
        {"type": "QueryUpdated", "queryId": 0, "value": "a", "journal": "j1", "logLines": []}
    ]
    socket.sign_in("ana")
    assert socket.plan(6).queries[0].journal == "j1"


@pytest.mark.parametrize("chunks", [True, False])
def test_long_transitions_come_in_parts_only_to_those_who_join_them(
    chunks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transition, "MAX_WHOLE_BYTES", 50)
    socket = Socket(chunks=chunks)
    socket.edit()
    sends = [each for each in socket.machine.complete(socket.plan(5), {}, NOW) if isinstance(each, Send)]
    assert (len(sends) > 1) is chunks
    assert [each.transition for each in sends] == [False] * (len(sends) - 1) + [True]


# ── reconnecting ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_first_transition_of_a_reconnect_waits_for_the_queries() -> None:
    socket = Socket()
    socket.connect(count=1)
    socket.sign_in("ana")
    assert socket.no_plan(5)
    assert socket.machine.wake_at == NOW + 1_000
    socket.edit(add(0))
    assert socket.machine.wake_at is None
    assert socket.turn(5)["endVersion"] == version(1, 1, 5)


def test_the_wait_has_an_end() -> None:
    socket = Socket()
    socket.connect(count=1)
    assert socket.machine.wake_at is None
    socket.sign_in("ana")
    assert socket.no_plan(5, NOW + 999)
    assert socket.plan(5, NOW + 1_000).version == StateVersion(0, 1, ts(5))
    assert socket.machine.wake_at is None


def test_a_late_connect_holds_nothing() -> None:
    socket = Socket()
    socket.edit(add(0))
    socket.connect(count=3)
    assert socket.plan(5)
