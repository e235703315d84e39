"""The rules of `SyncMachine` about who is asking, and about the end of a socket."""

from __future__ import annotations

import pytest
from msgspec import Raw

from subscriptions import protocol
from subscriptions.effects import Effect, Finish, RunMutation, Verify
from subscriptions.errors import LocalProtocolError, RemoteProtocolError, TooMany
from subscriptions.sync import MAX_HELD_MESSAGES
from tests.unit.subscriptions.test_sync import DRAINED, NOW, Socket, add, done, frame, only, version


def ended(effects: list[Effect[str]]) -> dict[str, object]:
    last, finish = effects
    assert finish == DRAINED
    return frame(last)


def test_an_identity_is_confirmed_even_without_queries() -> None:
    socket = Socket()
    assert socket.sign_in("ana") == []
    assert socket.turn(5)["endVersion"] == version(0, 1, 5)


def test_a_token_for_the_same_caller_runs_nothing_again() -> None:
    socket = Socket()
    socket.sign_in("ana")
    socket.edit(add(0))
    socket.turn(5)
    socket.sign_in("ana")
    refresh = socket.plan(6)
    assert (refresh.queries, refresh.version.identity) == ((), 2)


def test_another_caller_makes_everything_stale() -> None:
    socket = Socket()
    socket.edit(add(0))
    socket.turn(5)
    socket.sign_in("ana")
    refresh = socket.plan(6)
    assert ([each.query_id for each in refresh.queries], refresh.caller) == ([0], "ana")


def test_an_identity_that_changes_in_flight_belongs_to_the_next_transition() -> None:
    socket = Socket()
    socket.edit(add(0))
    refresh = socket.plan(5)
    socket.sign_in("ana")
    assert socket.finish(refresh)["endVersion"] == version(1, 0, 5)
    assert [each.query_id for each in socket.plan(6).queries] == [0]


def test_no_token_is_nobody_without_asking_anyone() -> None:
    socket = Socket()
    socket.sign_in("ana", expires_at=NOW)
    assert socket.hear(protocol.Authenticate(1, "None")) == []
    assert only(socket.mutate(0), RunMutation).caller == "anyone"


def test_messages_wait_for_the_identity_in_order() -> None:
    socket = Socket()
    socket.claim("t")
    socket.edit(add(0))
    assert socket.mutate(0) == []
    assert socket.hear(protocol.Authenticate(1, "User", "t2")) == []
    assert socket.mutate(1) == []
    first, verify = socket.machine.authenticated("ana", None, NOW)
    assert isinstance(first, RunMutation)
    assert (first.caller, verify) == ("ana", Verify("t2"))
    assert socket.machine.authenticated("bob", None, NOW) == []
    following = socket.machine.mutation_done(0, done(1))[1]
    assert isinstance(following, RunMutation)
    assert following.caller == "bob"


def test_what_waits_is_bounded() -> None:
    socket = Socket()
    socket.claim("t")
    for _ in range(MAX_HELD_MESSAGES):
        socket.machine.receive(protocol.Event("x"), NOW)
    with pytest.raises(TooMany):
        socket.machine.receive(protocol.Event("x"), NOW)


def test_what_waited_may_break_the_protocol() -> None:
    socket = Socket()
    socket.claim("t")
    socket.mutate(0)
    socket.hear(protocol.ModifyQuerySet(7, 8, ()))
    run, *end = socket.machine.authenticated("ana", None, NOW)
    assert isinstance(run, RunMutation)
    assert ended(end)["type"] == "FatalError"


def test_a_rejected_token_ends_the_socket_after_draining() -> None:
    socket = Socket()
    socket.sign_in("ana")
    socket.claim("false")
    socket.mutate(0)
    assert ended(socket.machine.rejected("no")) == {
        "type": "AuthError", "error": "no", "baseVersion": 1, "authUpdateAttempted": True,
    }  # fmt: skip
    socket.machine.validate()
    assert socket.machine.finished


def test_an_admin_key_is_rejected() -> None:
    error = ended(Socket().hear(protocol.Authenticate(0, "Admin", "key")))
    assert (error["type"], error["baseVersion"], error["authUpdateAttempted"]) == ("AuthError", 0, True)


def test_a_stale_base_version_is_the_peers_mistake() -> None:
    socket = Socket()
    socket.sign_in("ana")
    with pytest.raises(RemoteProtocolError):
        socket.hear(protocol.Authenticate(0, "User", "t"))


EXPIRED = {"type": "AuthError", "error": "The token has expired.", "baseVersion": 1, "authUpdateAttempted": False}


def test_expiry_is_noticed_before_a_mutation_an_action_and_a_transition() -> None:
    for step in ("mutation", "action", "plan"):
        socket = Socket()
        socket.sign_in("ana", expires_at=NOW + 10)
        socket.turn(5)
        socket.edit(add(0))
        if step == "mutation":
            effects = socket.mutate(0, NOW + 10)
        elif step == "action":
            effects = socket.hear(protocol.Action(0, "m:f", Raw(b"{}")), NOW + 10)
        else:
            effects = socket.machine.plan(socket.machine.floor, NOW + 10)
        assert ended(effects) == EXPIRED


def test_an_idle_socket_may_outlive_its_token() -> None:
    socket = Socket()
    socket.sign_in("ana", expires_at=NOW + 10)
    socket.turn(5)
    assert socket.no_plan(6, NOW + 11)
    assert not socket.machine.finished


def test_an_expired_token_may_be_replaced_while_the_new_one_is_verified() -> None:
    socket = Socket()
    socket.sign_in("ana", expires_at=NOW + 10)
    socket.claim("fresh")
    assert socket.no_plan(5, NOW + 11)
    socket.machine.authenticated("ana", NOW + 100, NOW + 12)
    assert socket.plan(5, NOW + 13)


def test_after_the_end_nothing_is_heard() -> None:
    socket = Socket()
    socket.edit(add(0))
    refresh = socket.plan(5)
    socket.mutate(0)
    assert ended(socket.machine.fail(RemoteProtocolError("why"))) == {"type": "FatalError", "error": "why"}
    assert socket.mutate(1) == []
    assert socket.machine.mutation_done(0, done(9)) == []
    assert socket.machine.complete(refresh, {}, NOW) == []
    assert socket.machine.authenticated("ana", None, NOW) == []
    assert socket.machine.rejected("no") == []
    assert socket.machine.fail(RemoteProtocolError("again")) == []
    socket.machine.committing()
    socket.machine.abandon(refresh)
    assert socket.no_plan(9)
    assert not socket.machine.dirty


@pytest.mark.parametrize(
    ("error", "finish"),
    [
        (TooMany("TooManyQueries", 1), Finish(1013, "TooManyQueries", drain=False)),
        (LocalProtocolError("ours"), Finish(1011, "InternalServerError", drain=False)),
        (OSError("ours"), Finish(1011, "InternalServerError", drain=False)),
    ],
)
def test_a_socket_ends_as_its_error_says(error: Exception, finish: Finish) -> None:
    assert Socket().machine.fail(error) == [finish]


def test_a_verdict_nobody_asked_for_is_our_mistake() -> None:
    with pytest.raises(LocalProtocolError):
        Socket().machine.rejected("no")
    with pytest.raises(LocalProtocolError):
        Socket().machine.authenticated("ana", None, NOW)


def test_its_repr_tells_its_state() -> None:
    socket = Socket()
    socket.edit(add(0))
    assert "listening, due" in repr(socket.machine)
