"""When a socket is quiet enough to leap, and what a leap leaves behind."""

from __future__ import annotations

from math import inf

import msgspec
from msgspec import Raw

from schema.readset import ReadSet
from schema.values import Timestamp
from subscriptions import protocol
from subscriptions.answers import Answer, Question
from subscriptions.effects import Failed, Returned, Value
from subscriptions.leap import Leap
from subscriptions.version import StateVersion
from tests.unit.subscriptions.test_sync import NOW, Socket, add, done, ts


def leap(old: str, new: str, target: int) -> Leap:
    question = Question("m:f", b"{}", None)
    old_answer, new_answer = (
        Answer(question, None, (), ts(1), Value(Raw(f'"{text}"'.encode()), text.encode()), ReadSet())
        for text in (old, new)
    )
    return Leap(old_answer, new_answer, ts(target), NOW)


def watching(at: int = 5) -> Socket:
    """A socket that shows "a" as its query 0, and has nothing else to do."""
    socket = Socket()
    socket.connect()
    socket.edit(add(0))
    socket.turn(at, "a")
    assert socket.machine.quiet_until == inf
    return socket


def test_a_leap_moves_the_version_and_the_next_transition_starts_there() -> None:
    socket = watching(5)
    push = socket.machine.leap(0, leap("a", "b", 8))
    socket.machine.validate()
    assert push is not None
    said = msgspec.json.decode(push.text, type=protocol.ServerMessage)
    assert isinstance(said, protocol.Transition)
    assert socket.machine.version == StateVersion(1, 0, Timestamp(8)) == StateVersion.of(said.end_version)
    assert socket.machine.quiet_until == inf
    socket.edit(add(1))
    assert socket.plan(8).target == 8


def test_no_leap_leads_back() -> None:
    socket = watching(5)
    assert socket.machine.leap(0, leap("a", "b", 4)) is None
    assert socket.machine.version.ts == 5
    assert socket.machine.leap(0, leap("a", "b", 5)) is not None


def test_a_leap_that_says_nothing_new_is_none() -> None:
    socket = watching(5)
    assert socket.machine.leap(0, leap("b", "a", 8)) is None
    assert socket.machine.leap(7, leap("a", "b", 8)) is None
    assert socket.machine.version.ts == 5


def test_it_is_not_quiet_before_the_first_transition() -> None:
    socket = Socket()
    socket.connect()
    assert socket.machine.quiet_until == inf
    socket.edit(add(0))
    assert socket.machine.quiet_until == -inf


def test_it_is_not_quiet_from_an_edit_or_an_invalidation_until_it_is_told() -> None:
    socket = watching()
    socket.machine.invalidate((0,))
    assert socket.machine.quiet_until == -inf
    refresh = socket.plan(6)
    assert socket.machine.quiet_until == -inf
    socket.finish(refresh, "b")
    assert socket.machine.quiet_until == inf
    socket.edit(add(1))
    assert socket.machine.quiet_until == -inf


def test_it_is_not_quiet_from_a_mutation_until_its_commit_is_shown() -> None:
    socket = watching()
    socket.mutate(0)
    assert socket.machine.quiet_until == -inf
    socket.machine.committing()
    assert socket.machine.quiet_until == -inf
    socket.machine.mutation_done(0, done(9))
    assert socket.machine.quiet_until == -inf
    socket.turn(9)
    assert socket.machine.quiet_until == inf


def test_it_is_not_quiet_while_the_transition_after_an_answer_is_due() -> None:
    socket = watching()
    socket.mutate(0)
    socket.machine.mutation_done(0, Failed("no"))
    assert socket.machine.quiet_until == -inf
    socket.turn(5)
    socket.hear(protocol.Action(1, "m:f", Raw(b"{}")))
    assert socket.machine.quiet_until == inf, "an action that runs is in nobody's way"
    socket.machine.action_done(1, Returned(Raw(b"null")))
    assert socket.machine.quiet_until == -inf


def test_it_is_not_quiet_below_what_the_client_has_seen_elsewhere() -> None:
    socket = Socket()
    socket.connect(observed=7)
    assert socket.machine.quiet_until == -inf
    socket.edit(add(0))
    socket.turn(7)
    assert socket.machine.quiet_until == inf


def test_it_is_quiet_until_the_token_runs_out() -> None:
    socket = watching()
    socket.claim("token")
    assert socket.machine.quiet_until == -inf, "somebody is being asked who it is"
    socket.machine.authenticated("ana", NOW + 10, NOW)
    assert socket.machine.quiet_until == -inf
    socket.turn(5)
    assert socket.machine.quiet_until == NOW + 10


def test_it_is_not_quiet_after_its_end() -> None:
    socket = watching()
    socket.machine.fail(ConnectionResetError())
    assert socket.machine.quiet_until == -inf
