"""The rules of `SyncMachine` about mutations and actions."""

from __future__ import annotations

import pytest
from msgspec import Raw

from subscriptions import protocol
from subscriptions.effects import Failed, Returned, RunAction, RunMutation, Send, Succeeded, Value
from tests.unit.subscriptions.test_sync import NOW, SESSION, Socket, add, done, frame, only, version


@pytest.mark.parametrize("outcome", [done(3), Failed("no"), Failed("no", Raw(b"null"))])
def test_answer_then_transition(outcome: Succeeded | Failed) -> None:
    socket = Socket()
    socket.connect()
    assert only(socket.mutate(0), RunMutation).session_id == SESSION
    assert frame(only(socket.machine.mutation_done(0, outcome), Send))["type"] == "MutationResponse"
    assert socket.machine.dirty
    assert socket.turn(5)["type"] == "Transition"


def test_no_refresh_is_planned_while_committing() -> None:
    socket = Socket()
    socket.edit(add(0))
    socket.mutate(0)
    socket.machine.committing()
    assert socket.no_plan(5)
    socket.machine.mutation_done(0, done(4))
    assert socket.no_plan(3)
    assert socket.plan(4)


def test_a_refresh_that_an_answer_has_overtaken_is_done_again() -> None:
    socket = Socket()
    socket.edit(add(0))
    socket.mutate(0)
    refresh = socket.plan(5)
    socket.machine.committing()
    socket.machine.mutation_done(0, done(6))
    assert socket.machine.complete(refresh, {0: Value(Raw(b"1"), b"1")}, NOW) == []
    socket.machine.validate()
    assert socket.no_plan(5)
    again = socket.turn(6)
    assert (again["startVersion"], again["endVersion"]) == (version(0, 0, 0), version(1, 0, 6))
    assert again["modifications"] != []


def test_an_old_answer_is_released_by_any_transition() -> None:
    socket = Socket()
    socket.edit(add(0))
    socket.turn(9)
    socket.mutate(0)
    socket.machine.mutation_done(0, done(2))
    assert socket.turn(9)["endVersion"] == version(1, 0, 9)


def test_a_mutation_runs_as_who_asked_and_under_the_session_it_was_asked_in() -> None:
    socket = Socket()
    socket.connect()
    socket.sign_in("ana")
    socket.mutate(0)
    socket.mutate(1)
    socket.sign_in("bob")
    socket.mutate(2)
    callers = []
    for request_id in (0, 1):
        following = socket.machine.mutation_done(request_id, done(1))[1]
        assert isinstance(following, RunMutation)
        callers.append(following.caller)
    assert callers == ["ana", "bob"]


def test_an_action_answers_at_once_and_is_followed_by_a_transition() -> None:
    socket = Socket()
    assert only(socket.hear(protocol.Action(0, "m:f", Raw(b"{}"))), RunAction).caller == "anyone"
    assert frame(only(socket.machine.action_done(0, Returned(Raw(b"1"))), Send))["type"] == "ActionResponse"
    assert socket.machine.dirty


def test_events_are_ignored() -> None:
    assert Socket().hear(protocol.Event("ClientConnect")) == []
