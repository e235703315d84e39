"""The smallest transition, whole and in parts."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import UNSET, Raw

from schema.values import Timestamp
from subscriptions import transition
from subscriptions.effects import Failure, Value
from subscriptions.protocol import QueryFailed, QueryUpdated
from subscriptions.version import START, StateVersion


@pytest.mark.parametrize(
    ("client", "may"),
    [
        ("npm-1.28.0", True), ("npm-1.48.0", True), ("npm-2.0.0-alpha.1", True), ("npm-1.27.9", False),
        ("python-0.8.1", False), ("", False), ("npm-", False), ("npm-1", False),
    ],
)  # fmt: skip
def test_only_clients_that_join_parts_get_parts(client: str, may: bool) -> None:
    assert transition.accepts_chunks(client) is may


def test_results_become_modifications() -> None:
    assert transition.modification(1, Value(Raw(b"1"), b"d", "j")) == QueryUpdated(1, Raw(b"1"), "j")
    assert transition.modification(1, Failure("no", None, b"d")) == QueryFailed(1, "no", None, UNSET)
    assert transition.modification(1, Failure("no", Raw(b"null"), b"d")) == QueryFailed(1, "no", None, Raw(b"null"))


def test_the_servers_clock_is_whole_nanoseconds() -> None:
    frame = msgspec.json.decode(transition.transition(START, StateVersion(1, 0, Timestamp(9)), [], -3, 1.5))
    assert (frame["serverTs"], frame["clientClockSkew"], frame["modifications"]) == (1_500_000, -3, [])


def test_a_short_transition_stays_whole() -> None:
    assert transition.parts(b"{}", "1") == [b"{}"]


@pytest.mark.parametrize("limit", [4, 5, 7, 100])
def test_parts_join_to_the_whole_and_split_no_character(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transition, "MAX_WHOLE_BYTES", limit)
    whole = '{"a":"\u00e4\U0001f600\u20ac\\"\\u0041"}' * 9
    chunks = [msgspec.json.decode(each) for each in transition.parts(whole.encode(), "7")]
    assert "".join(each["chunk"] for each in chunks) == whole
    assert [each["partNumber"] for each in chunks] == list(range(len(chunks)))
    assert {(each["totalParts"], each["transitionId"]) for each in chunks} == {(len(chunks), "7")}
    assert all(len(each["chunk"].encode()) <= limit for each in chunks)
