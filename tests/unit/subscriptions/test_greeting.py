"""What a client says of itself, and what follows."""

from __future__ import annotations

import pytest

from schema.values import Timestamp
from subscriptions.greeting import Greeting, absurd
from subscriptions.protocol import Connect


def connect(count: int, observed: int | None = None, clock: float | None = None) -> Connect:
    return Connect("s", count, None, None if observed is None else Timestamp(observed), clock)


def test_without_a_greeting_nothing_is_known() -> None:
    greeting = Greeting()
    assert (greeting.session_id, greeting.skew, greeting.observed, greeting.hold_until) == (None, None, 0, None)


def test_a_returning_client_is_held_for_a_second() -> None:
    greeting = Greeting()
    greeting.hear(connect(1, 5, 900.0), 1_000.0)
    assert (greeting.session_id, greeting.skew, greeting.observed, greeting.hold_until) == ("s", -100, 5, 2_000.0)
    greeting.let_go(1_999.0)
    assert greeting.hold_until == 2_000.0
    greeting.let_go(2_000.0)
    assert greeting.hold_until is None


def test_a_new_client_is_not_held() -> None:
    greeting = Greeting()
    greeting.hear(connect(0), 1_000.0)
    assert greeting.hold_until is None
    assert "session s" in repr(greeting)


@pytest.mark.parametrize(("lead_s", "refused"), [(-5, False), (0, False), (60, False), (61, True)])
def test_clocks_drift_only_so_far(lead_s: int, refused: bool) -> None:
    assert absurd(Timestamp((1_000 + lead_s) << 32 | 7), 1_000_000.0) is refused
