"""The policy's decisions, one by one."""

from __future__ import annotations

import pytest

from jobs.outcome import INTERRUPTED, SOMETHING_WRONG, TOO_SLOW, Broken, Done, Later, Outcome, Refused, Transient
from jobs.policy import (
    MAX_BACKOFF_MS,
    MAX_POSTPONED_MS,
    POSTPONED_SPREAD_MS,
    Complete,
    GiveUp,
    Postpone,
    Retry,
    backoff,
    decide,
)
from schema.system import Job
from schema.values import seconds
from schema.writer import Writer

NOW = 1_700_000_000_000.0


async def nothing(_: Writer) -> None: ...


def job(attempt: int = 1, max_attempts: int = 3) -> Job:
    return Job(
        kind="draw",
        subject="s",
        arguments="{}",
        state="leased",
        attempt=attempt,
        max_attempts=max_attempts,
        due_at=NOW,
        created_at=NOW,
    )


def test_done_completes_whatever_the_attempt() -> None:
    assert decide(job(9, 3), Done(nothing), NOW, 0.5, first_backoff=seconds(2)) == Complete()


def test_refusal_is_final_at_the_first_attempt() -> None:
    refused = Refused("The picture was refused.")
    assert decide(job(1, 9), refused, NOW, 0.5, first_backoff=seconds(2)) == GiveUp("The picture was refused.")


@pytest.mark.parametrize("outcome", [Transient("Busy."), Broken("Oops."), INTERRUPTED, TOO_SLOW, SOMETHING_WRONG])
def test_failures_are_retried_while_attempts_remain(outcome: Transient | Broken) -> None:
    assert isinstance(decide(job(2, 3), outcome, NOW, 0.0, first_backoff=seconds(2)), Retry)
    assert decide(job(3, 3), outcome, NOW, 0.0, first_backoff=seconds(2)) == GiveUp(outcome.reason)


@pytest.mark.parametrize(
    ("attempt", "jitter", "outcome", "pause"),
    [
        pytest.param(1, 0.0, Broken("x"), seconds(1), id="first, no luck"),
        pytest.param(1, 0.5, Broken("x"), seconds(1.5), id="first, half"),
        pytest.param(3, 0.0, Broken("x"), seconds(4), id="third"),
        pytest.param(40, 0.0, Broken("x"), MAX_BACKOFF_MS / 2, id="bounded"),
        pytest.param(1, 0.0, Transient("x", seconds(30)), seconds(30), id="asked to wait"),
        pytest.param(1, 0.5, Transient("x", seconds(30)), seconds(30.5), id="asked to wait, spread"),
        pytest.param(3, 0.0, Transient("x", seconds(1)), seconds(4), id="asked for less than ours"),
    ],
)
def test_the_pause(attempt: int, jitter: float, outcome: Outcome, pause: float) -> None:
    assert decide(job(attempt, 99), outcome, NOW, jitter, first_backoff=seconds(2)) == Retry(NOW + pause, "x")


@pytest.mark.parametrize(
    ("moment", "jitter", "pause"),
    [
        pytest.param(NOW + seconds(30), 0.0, seconds(30), id="when it may work again"),
        pytest.param(NOW + seconds(30), 0.5, seconds(30) + POSTPONED_SPREAD_MS / 2, id="spread"),
        pytest.param(NOW - seconds(30), 0.0, seconds(1), id="never at once"),
        pytest.param(NOW + 9 * MAX_POSTPONED_MS, 0.0, MAX_POSTPONED_MS, id="not beyond patience"),
    ],
)
def test_what_was_not_begun_is_postponed_at_no_cost(moment: float, jitter: float, pause: float) -> None:
    decision = decide(job(3, 3), Later(moment, "Down."), NOW, jitter, first_backoff=seconds(2))
    assert decision == Postpone(NOW + pause, "Down.")


def test_an_old_job_pays_for_its_postponements() -> None:
    old, down = NOW + MAX_POSTPONED_MS, Later(NOW + MAX_POSTPONED_MS + seconds(30), "Down.")
    assert decide(job(1, 2), down, old, 0.0, first_backoff=seconds(2)) == Retry(old + seconds(30), "Down.")
    assert decide(job(2, 2), down, old, 0.0, first_backoff=seconds(2)) == GiveUp("Down.")


def test_backoff_doubles_up_to_its_limit() -> None:
    assert [backoff(n, seconds(2)) for n in (1, 2, 3)] == [seconds(2), seconds(4), seconds(8)]
    assert backoff(10_000, seconds(2)) == MAX_BACKOFF_MS
