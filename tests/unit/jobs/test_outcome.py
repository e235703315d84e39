"""Outcomes are plain values, and their reasons are sentences for people."""

from __future__ import annotations

import msgspec
import pytest

from jobs.outcome import INTERRUPTED, SOMETHING_WRONG, TOO_SLOW, Broken, Refused, Transient
from jobs.transactions import HANDED_BACK


@pytest.mark.parametrize("reason", [INTERRUPTED.reason, TOO_SLOW.reason, SOMETHING_WRONG.reason, HANDED_BACK])
def test_our_own_reasons_are_sentences(reason: str) -> None:
    assert reason[0].isupper()
    assert reason.endswith(".")


def test_outcomes_are_frozen_and_compare_by_value() -> None:
    assert Transient("Busy.", 5.0) == Transient("Busy.", 5.0)
    assert Broken("Oops.") != Broken("Ouch.")
    with pytest.raises(AttributeError):
        Refused("No.").reason = "Yes."  # type: ignore[misc]


def test_nothing_is_asked_of_a_transient_failure_unless_said() -> None:
    assert Transient("Busy.").retry_after is None
    assert msgspec.structs.astuple(Transient("Busy.", 1.0)) == ("Busy.", 1.0)
