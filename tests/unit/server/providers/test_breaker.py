"""The circuit breaker: when it opens, for how long, whom it lets through, and whose reports count."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule

from schema.values import Millis, seconds
from server.providers.breaker import (
    FIRST_OPEN_MS,
    MAX_ASKED_MS,
    MAX_FAILURES,
    MAX_OPEN_MS,
    PROBE_MS,
    STEPS,
    Breaker,
    Pass,
    Wait,
)

NOW: Millis = 1_764_000_000_000.0


def admitted(breaker: Breaker, now: Millis = NOW) -> Pass:
    """A pass that must be given."""
    call = breaker.ask(now)
    assert isinstance(call, Pass)
    return call


def opened() -> Breaker:
    breaker = Breaker()
    breaker.down(admitted(breaker), NOW)
    return breaker


def probing() -> tuple[Breaker, Pass]:
    breaker = opened()
    return breaker, admitted(breaker, breaker.until)


def test_every_state_leads_to_every_other_in_the_end() -> None:
    states = {state for state, _ in STEPS} | set(STEPS.values())
    for start in states:
        reached = {start}
        for _ in states:
            reached |= {then for (state, _), then in STEPS.items() if state in reached}
        assert reached == states


def test_enough_failures_in_a_row_open_it() -> None:
    breaker = Breaker()
    for _ in range(MAX_FAILURES - 1):
        breaker.ailing(admitted(breaker), NOW)
    assert breaker.state == "closed"
    breaker.ailing(admitted(breaker), NOW)
    assert breaker.ask(NOW) == Wait(NOW + FIRST_OPEN_MS)


def test_a_success_between_them_starts_the_count_again() -> None:
    breaker = Breaker()
    for _ in range(MAX_FAILURES - 1):
        breaker.ailing(admitted(breaker), NOW)
    breaker.well(admitted(breaker))
    breaker.ailing(admitted(breaker), NOW)
    assert breaker.state == "closed"


@pytest.mark.parametrize(
    ("asked", "pause"),
    [(0.0, FIRST_OPEN_MS), (seconds(1), FIRST_OPEN_MS), (seconds(60), seconds(60)), (seconds(86_400), MAX_ASKED_MS)],
)
def test_one_word_is_enough_where_nobody_would_be_served(asked: Millis, pause: Millis) -> None:
    breaker = Breaker()
    breaker.down(admitted(breaker), NOW, asked)
    assert breaker.ask(NOW) == Wait(NOW + pause)
    assert breaker.ask(NOW + pause - 1) == Wait(NOW + pause)


def test_after_the_pause_one_call_is_let_through() -> None:
    breaker, _ = probing()
    assert breaker.state == "half-open"
    assert breaker.ask(breaker.until) == Wait(breaker.until + PROBE_MS)


def test_the_probe_decides() -> None:
    breaker, probe = probing()
    breaker.well(probe)
    assert breaker.state == "closed"
    breaker, probe = probing()
    breaker.ailing(probe, NOW)
    assert breaker.ask(NOW) == Wait(NOW + 2 * FIRST_OPEN_MS)


def test_an_abandoned_probe_makes_room_for_the_next() -> None:
    breaker, probe = probing()
    breaker.abandon(probe)
    assert repr(breaker).startswith("<Breaker open, ")
    admitted(breaker, breaker.until)
    assert breaker.state == "half-open"


def test_the_pause_grows_to_its_limit_and_is_short_again_after_a_success() -> None:
    breaker, now, pauses = opened(), NOW, []
    for _ in range(8):
        pauses.append(breaker.until - now)
        now = breaker.until
        breaker.ailing(admitted(breaker, now), now)
    assert pauses[:3] == [FIRST_OPEN_MS, 2 * FIRST_OPEN_MS, 4 * FIRST_OPEN_MS]
    assert pauses[-1] == MAX_OPEN_MS
    now = breaker.until
    breaker.well(admitted(breaker, now))
    breaker.down(admitted(breaker, now), now)
    assert breaker.until == now + FIRST_OPEN_MS


def test_late_reports_neither_prolong_nor_end_a_pause() -> None:
    breaker = Breaker()
    late, later = admitted(breaker), admitted(breaker)
    breaker.down(admitted(breaker), NOW)
    until = breaker.until
    breaker.well(late)
    breaker.down(later, NOW + 1, seconds(600))
    assert (breaker.state, breaker.until) == ("open", until)


def test_late_reports_do_not_speak_for_the_probe() -> None:
    breaker = Breaker()
    late = admitted(breaker)
    breaker.down(admitted(breaker), NOW)
    probe = admitted(breaker, breaker.until)
    for report in (breaker.well, breaker.abandon):
        report(late)
        assert breaker.ask(breaker.until) == Wait(breaker.until + PROBE_MS)
    breaker.well(probe)
    breaker.abandon(probe)
    assert breaker.state == "closed"


@pytest.mark.parametrize("state", ["closed", "open", "half-open"])
def test_it_shows_its_state(state: str) -> None:
    breaker = {"closed": Breaker(), "open": opened(), "half-open": probing()[0]}[state]
    assert repr(breaker).startswith(f"<Breaker {state}, ")


class AnyBreaker(RuleBasedStateMachine):
    """Calls that begin and end in any order, however long they take."""

    calls: Bundle[Pass] = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.now = Breaker(), NOW
        self.probe: Pass | None = None

    @rule(by=st.floats(0, MAX_ASKED_MS))
    def time_passes(self, by: Millis) -> None:
        self.now += by

    @rule(target=calls)
    def ask(self) -> Pass:
        before = self.breaker.state
        answer = self.breaker.ask(self.now)
        if isinstance(answer, Wait):
            assert before != "closed"
            assert self.now < answer.until <= self.now + max(MAX_OPEN_MS, MAX_ASKED_MS)
            return multiple()  # type: ignore[return-value]
        assert before != "half-open"
        if before == "open":
            self.probe = answer
        return answer

    @rule(call=consumes(calls), how=st.sampled_from(["well", "ailing", "down", "abandon"]), asked=st.floats(0, 1e9))
    def report(self, call: Pass, how: str, asked: Millis) -> None:
        before, until = self.breaker.state, self.breaker.until
        match how:
            case "well":
                self.breaker.well(call)
            case "ailing":
                self.breaker.ailing(call, self.now)
            case "down":
                self.breaker.down(call, self.now, asked)
            case _:
                self.breaker.abandon(call)
        if before == "open":
            assert (self.breaker.state, self.breaker.until) == (before, until), "nothing ends a pause but time"
        if before == "half-open":
            decided = self.breaker.state != "half-open"
            assert decided == (call is self.probe), "the probe decides, and only the probe"

    @precondition(lambda self: self.breaker.state == "open")
    @invariant()
    def an_open_breaker_opens_in_the_end(self) -> None:
        assert self.breaker.until <= self.now + max(MAX_OPEN_MS, MAX_ASKED_MS)


TestAnyBreaker = AnyBreaker.TestCase
TestAnyBreaker.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
