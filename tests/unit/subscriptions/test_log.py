"""The log: order, completeness, and an honest answer once history is gone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from schema.readset import Commit, WriteSet
from schema.values import Timestamp
from subscriptions.errors import LogGap, SubscriptionError
from subscriptions.log import MAX_COMMITS, Log


def at(ts: int) -> Timestamp:
    return Timestamp(ts)


def commits(*times: int) -> list[Commit]:
    return [Commit(at(ts), WriteSet(tables=frozenset({f"t{ts}"}))) for ts in times]


def times(found: Sequence[Commit]) -> list[int]:
    return [each.ts for each in found]


def test_a_new_log_is_complete_up_to_its_start_and_knows_nothing_before() -> None:
    log = Log(at(10))
    assert log.position == 10
    assert times(log.since(at(10))) == []
    with pytest.raises(LogGap):
        log.since(at(9))


def test_since_gives_the_commits_above_a_timestamp_in_order() -> None:
    log = Log(at(10))
    log.append(commits(11, 15), at(15))
    log.append(commits(20), at(30))
    assert log.position == 30
    expected = {10: [11, 15, 20], 11: [15, 20], 12: [15, 20], 14: [15, 20], 15: [20], 19: [20], 20: [], 30: [], 99: []}
    assert {ts: times(log.since(at(ts))) for ts in expected} == expected


def test_what_since_gave_is_not_changed_by_later_commits() -> None:
    log = Log(at(0), max_commits=2)
    log.append(commits(1, 2), at(2))
    found = log.since(at(0))
    log.append(commits(3, 4), at(4))
    assert times(found) == [1, 2]


def test_the_position_moves_without_commits() -> None:
    log = Log(at(1))
    log.append([], at(5))
    log.append([], at(5))
    assert log.position == 5
    assert times(log.since(at(1))) == []


@pytest.mark.parametrize(
    ("times_given", "position"),
    [
        pytest.param((), 9, id="position goes back"),
        pytest.param((10,), 20, id="commit at the old position"),
        pytest.param((9,), 20, id="commit below the old position"),
        pytest.param((21,), 20, id="commit above the new position"),
        pytest.param((11, 13, 12), 20, id="commits out of order"),
        pytest.param((11, 11), 20, id="two commits at one time"),
    ],
)
def test_out_of_order_is_refused_and_changes_nothing(times_given: tuple[int, ...], position: int) -> None:
    log = Log(at(5))
    log.append(commits(7), at(10))
    before = repr(log)
    with pytest.raises(ValueError, match=r"cannot (follow|go back)"):
        log.append(commits(*times_given), at(position))
    assert repr(log) == before
    assert times(log.since(at(5))) == [7]


def test_the_window_is_bounded_and_says_so() -> None:
    log = Log(at(0), max_commits=3)
    log.append(commits(1, 2), at(2))
    log.append(commits(3, 4), at(9))
    assert times(log.since(at(1))) == [2, 3, 4]
    with pytest.raises(LogGap):
        log.since(at(0))


def test_one_append_may_be_larger_than_the_window() -> None:
    log = Log(at(0), max_commits=2)
    log.append(commits(1, 2, 3, 4, 5), at(6))
    assert times(log.since(at(3))) == [4, 5]
    assert log.position == 6
    with pytest.raises(LogGap):
        log.since(at(2))


def test_a_gap_empties_the_window_and_moves_on() -> None:
    log = Log(at(0))
    log.append(commits(1, 2), at(2))
    log.gap(at(50))
    assert log.position == 50
    assert times(log.since(at(50))) == []
    for lost in (0, 2, 49):
        with pytest.raises(LogGap) as caught:
            log.since(at(lost))
        assert isinstance(caught.value, SubscriptionError)
    log.append(commits(51), at(51))
    assert times(log.since(at(50))) == [51]


def test_a_gap_cannot_go_back_either() -> None:
    log = Log(at(8))
    with pytest.raises(ValueError, match="cannot go back to 7"):
        log.gap(at(7))
    log.gap(at(8))
    assert times(log.since(at(8))) == []


def test_a_log_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Log(at(0), max_commits=0)


def test_repr_tells_its_state() -> None:
    log = Log(at(3))
    log.append(commits(4), at(6))
    assert repr(log) == f"<Log at 6, 1 of {MAX_COMMITS} commits since 3>"
