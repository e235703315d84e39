"""A leap: one frame for all who start alike, and what is no leap."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from schema.readset import ReadSet
from schema.values import Timestamp
from subscriptions import protocol
from subscriptions.answers import Answer, Question
from subscriptions.effects import Failure, Result, Value
from subscriptions.leap import MAX_FRAMES, Leap
from subscriptions.transition import MAX_WHOLE_BYTES
from subscriptions.version import StateVersion

NOW = 1_000_000.0


def value(text: str, journal: str | None = None) -> Value:
    return Value(Raw(msgspec.json.encode(text)), text.encode(), journal)


def failure(text: str, data: bytes | None = None) -> Failure:
    return Failure(text, None if data is None else Raw(data), text.encode())


def answer(result: Result, at: int) -> Answer:
    return Answer(Question("m:f", b"{}", None), None, (), Timestamp(at), result, ReadSet())


def leap(old: Result, new: Result, target: int = 7) -> Leap:
    return Leap(answer(old, 3), answer(new, 6), Timestamp(target), NOW)


def version(query_set: int, identity: int, at: int) -> StateVersion:
    return StateVersion(query_set, identity, Timestamp(at))


def test_a_step_ends_at_the_target_and_says_only_what_is_new() -> None:
    taken = leap(value("a"), value("b"))
    end, push = taken.step(version(2, 1, 5), 4)
    assert end == version(2, 1, 7)
    said = msgspec.json.decode(push.text, type=protocol.ServerMessage)
    assert isinstance(said, protocol.Transition)
    assert (StateVersion.of(said.start_version), StateVersion.of(said.end_version)) == (version(2, 1, 5), end)
    assert said.modifications == (protocol.QueryUpdated(4, Raw(b'"b"'), None),)
    assert said.client_clock_skew is None
    assert repr(taken) == "<Leap of m:f to 7, 1 frames>"


def test_equal_steps_share_a_version_and_a_frame() -> None:
    taken = leap(value("a"), value("b"))
    first, other, equal = version(1, 0, 5), version(1, 0, 4), version(1, 0, 5)
    step = taken.step(first, 0)
    assert taken.step(first, 0) is step
    assert taken.step(other, 0) is not step
    assert taken.step(equal, 0) is step
    assert taken.step(equal, 1) is not step
    assert taken.step(first, 0)[1] is step[1]


def test_who_comes_from_anywhere_does_not_make_it_grow_without_end() -> None:
    taken = leap(value("a"), value("b"), target=10_000)
    for at in range(3 * MAX_FRAMES):
        end, push = taken.step(version(1, 0, at), 0)
        assert end.ts == 10_000
        assert StateVersion.of(msgspec.json.decode(push.text, type=protocol.Transition).start_version).ts == at
        assert int(repr(taken).split()[-2]) <= MAX_FRAMES


def test_silent_is_what_says_the_same_with_the_same_journal() -> None:
    assert leap(value("a"), value("a")).is_silent
    assert leap(failure("no"), failure("no")).is_silent
    assert not leap(value("a"), value("b")).is_silent
    assert not leap(value("a"), failure("a")).is_silent
    assert not leap(value("a", "end"), value("a", "other end")).is_silent


def test_what_does_not_fit_into_a_frame_is_no_leap() -> None:
    large = b'"' + bytes(MAX_WHOLE_BYTES) + b'"'
    assert leap(value("a"), value("b")).is_whole
    assert leap(value("a"), failure("no")).is_whole
    assert not leap(value("a"), Value(Raw(large), b"large")).is_whole
    assert not leap(value("a"), failure("no", large)).is_whole
