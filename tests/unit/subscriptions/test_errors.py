"""Errors tell whose fault they are."""

from __future__ import annotations

import pytest

from schema.values import Timestamp
from subscriptions.errors import (
    LocalProtocolError,
    LogGap,
    ProtocolError,
    RemoteProtocolError,
    SubscriptionError,
    TooMany,
    VersionMismatch,
    invariant,
)


def test_a_mismatch_is_the_peers_and_says_what_is_held() -> None:
    error = VersionMismatch("query set", held=2, offered=1)
    assert isinstance(error, RemoteProtocolError)
    assert (error.code, error.blame) == ("BaseVersionMismatch", "caller")
    assert error.sentence == "BaseVersionMismatch: the query set is at 2, not at 1."


def test_our_own_mistakes_are_ours() -> None:
    assert issubclass(LocalProtocolError, ProtocolError)
    assert LocalProtocolError("x").blame == "us"
    assert LogGap(Timestamp(1), Timestamp(5)).retryable


def test_too_many_carries_its_close_reason() -> None:
    error = TooMany("TooManyQueries", 1024)
    assert isinstance(error, SubscriptionError)
    assert (error.short, error.limit) == ("TooManyQueries", 1024)


def test_an_invariant_holds_or_is_our_mistake() -> None:
    invariant(True, "one is one")
    with pytest.raises(LocalProtocolError, match="one is two"):
        invariant(False, "one is two")
