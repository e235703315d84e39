"""The policy for every job, outcome and chance: it always ends, never hurries, never waits for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.outcome import Broken, Done, Later, Outcome, Refused, Transient
from jobs.policy import MAX_BACKOFF_MS, MAX_POSTPONED_MS, Complete, GiveUp, Postpone, Retry, backoff, decide
from schema.system import Job
from schema.values import Millis, hours, seconds
from schema.writer import Writer

Failure = Transient | Broken


async def nothing(_: Writer) -> None: ...


def job(attempt: int, max_attempts: int, created_at: Millis = 0.0) -> Job:
    return Job(
        kind="draw",
        subject="s",
        arguments="{}",
        state="leased",
        attempt=attempt,
        max_attempts=max_attempts,
        due_at=0.0,
        created_at=created_at,
    )


ATTEMPTS = st.integers(1, 10_000)
NOW = st.floats(1.6e12, 2.0e12)
JITTER = st.floats(0, 1, exclude_max=True)
FIRST = st.floats(seconds(0.01), seconds(600))
REASONS = st.text(max_size=20)
ASKED = st.none() | st.floats(0, hours(24))
FAILURES: st.SearchStrategy[Failure] = st.builds(Transient, REASONS, ASKED) | st.builds(Broken, REASONS)
ENDINGS: st.SearchStrategy[Outcome] = FAILURES | st.builds(Refused, REASONS) | st.just(Done(nothing))


@given(ATTEMPTS, ATTEMPTS, ENDINGS, NOW, JITTER, FIRST)
def test_each_outcome_has_one_kind_of_decision(
    attempt: int, max_attempts: int, outcome: Outcome, now: Millis, jitter: float, first: Millis
) -> None:
    decision = decide(job(attempt, max_attempts), outcome, now, jitter, first_backoff=first)
    match outcome:
        case Done():
            assert decision == Complete()
        case Refused(reason=reason):
            assert decision == GiveUp(reason)
        case Transient(reason=reason) | Broken(reason=reason):
            assert isinstance(decision, Retry) == (attempt < max_attempts)
            assert not isinstance(decision, Complete)
            assert decision.reason == reason


@given(ATTEMPTS, FAILURES, NOW, JITTER, FIRST)
def test_a_pause_is_neither_too_short_nor_too_long(
    attempt: int, failure: Failure, now: Millis, jitter: float, first: Millis
) -> None:
    decision = decide(job(attempt, attempt + 1), failure, now, jitter, first_backoff=first)
    assert isinstance(decision, Retry)
    asked = (failure.retry_after if isinstance(failure, Transient) else None) or 0.0
    longest = backoff(attempt, first)
    assert decision.at >= now + asked
    assert decision.at >= now + longest / 2
    assert decision.at <= now + max(asked, longest / 2) + longest / 2
    assert longest <= MAX_BACKOFF_MS


@given(ATTEMPTS, FAILURES, NOW, JITTER, FIRST)
def test_a_later_attempt_waits_no_less(
    attempt: int, failure: Failure, now: Millis, jitter: float, first: Millis
) -> None:
    earlier = decide(job(attempt, attempt + 2), failure, now, jitter, first_backoff=first)
    later = decide(job(attempt + 1, attempt + 2), failure, now, jitter, first_backoff=first)
    assert isinstance(earlier, Retry)
    assert isinstance(later, Retry)
    assert later.at >= earlier.at


@given(st.integers(1, 50), st.lists(FAILURES, min_size=50, max_size=50), JITTER)
def test_a_job_that_only_fails_ends_after_its_attempts(
    max_attempts: int, failures: list[Failure], jitter: float
) -> None:
    now, attempt = 1.7e12, 0
    for failure in failures:
        attempt += 1
        decision = decide(job(attempt, max_attempts), failure, now, jitter, first_backoff=seconds(2))
        if isinstance(decision, GiveUp):
            break
        assert isinstance(decision, Retry)
        now = decision.at
    assert attempt == max_attempts


@given(ATTEMPTS, st.integers(0, 100), st.floats(1.6e12, 2.0e12), NOW, NOW, JITTER, FIRST)
def test_postponing_costs_an_attempt_only_of_an_old_job(
    attempt: int, left: int, moment: Millis, now: Millis, created_at: Millis, jitter: float, first: Millis
) -> None:
    decision = decide(
        job(attempt, attempt + left, created_at), Later(moment, "Down."), now, jitter, first_backoff=first
    )
    assert decision.reason == "Down." if not isinstance(decision, Complete) else False
    if now < created_at + MAX_POSTPONED_MS:
        assert isinstance(decision, Postpone)
        assert decision.at > now
        assert decision.at >= min(moment, created_at + MAX_POSTPONED_MS)
    else:
        assert isinstance(decision, Retry if left else GiveUp)


@given(
    st.integers(1, 5),
    st.lists(FAILURES | st.builds(Later, NOW, REASONS), min_size=1, max_size=20),
    JITTER,
    st.floats(seconds(60), seconds(600)),
)
def test_whatever_keeps_happening_a_job_ends(
    max_attempts: int, happenings: list[Outcome], jitter: float, first: Millis
) -> None:
    created_at = now = 1.7e12
    attempt, turn = 0, 0
    while True:
        attempt += 1
        outcome = happenings[turn % len(happenings)]
        decision = decide(job(attempt, max_attempts, created_at), outcome, now, jitter, first_backoff=first)
        if isinstance(decision, GiveUp):
            break
        assert isinstance(decision, Retry | Postpone)
        max_attempts += isinstance(decision, Postpone)
        now, turn = decision.at, turn + 1
        assert turn < 1_000
