"""Who leaves when: everybody once, nobody too soon, never many at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from subscriptions.departures import NOTICE_SHARE, departures


@given(count=st.integers(0, 400), within_s=st.floats(0.0, 600.0), parts=st.integers(1, 50), start=st.floats(0.0, 1.0))
def test_no_part_of_the_time_sees_more_than_its_share(count: int, within_s: float, parts: int, start: float) -> None:
    leaving = list(departures(range(count), within_s))
    assert [socket for _, socket in leaving] == list(range(count)), "everybody once, who came first goes first"
    times = [at for at, _ in leaving]
    assert times == sorted(times)
    assert all(NOTICE_SHARE * within_s <= at <= within_s for at in times)
    if count and within_s > 0.001:
        part = (1 - NOTICE_SHARE) * within_s / parts
        begin = NOTICE_SHARE * within_s + start * part
        assert sum(begin <= at < begin + part for at in times) <= count // parts + 1


def test_the_first_leaves_after_the_notice_and_the_last_before_the_end() -> None:
    assert list(departures("abcd", 10.0)) == [(2.0, "a"), (4.0, "b"), (6.0, "c"), (8.0, "d")]
