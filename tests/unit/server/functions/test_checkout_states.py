"""A checkout's states: total, in any order, and money is believed last."""

from __future__ import annotations

import itertools
from typing import get_args

from schema.billing import CheckoutStatus
from server.functions.checkout_states import EVENTS, STEPS, Event


def test_every_event_has_a_place_in_every_state() -> None:
    assert STEPS.keys() == set(itertools.product(get_args(CheckoutStatus), get_args(Event)))
    assert set(EVENTS.values()) == set(get_args(Event))


def test_what_is_completed_stays_completed() -> None:
    assert {then for (status, _), then in STEPS.items() if status == "completed"} == {"completed"}


def test_money_completes_whatever_went_before() -> None:
    assert {then for (_, event), then in STEPS.items() if event == "succeed"} == {"completed"}


def test_nothing_becomes_pending_again() -> None:
    assert {status for (status, _), then in STEPS.items() if then == "pending"} == {"pending"}


def test_the_end_depends_on_whether_money_came_and_not_on_when() -> None:
    ends: tuple[Event, ...] = ("confirm", "expire", "fail", "succeed")
    for order in itertools.permutations(ends):
        status: CheckoutStatus = "pending"
        for event in order:
            status = STEPS[status, event]
        assert status == "completed"
