"""What a log finds by key, against asking every commit of its window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.readset import Commit, ReadSet, WriteSet, overlap
from schema.values import Timestamp
from subscriptions.errors import LogGap
from subscriptions.log import Log
from tests.property.test_matcher import READ_SETS, WRITES

WINDOW = 6


@given(st.lists(WRITES, max_size=20), st.lists(READ_SETS, min_size=1, max_size=5), st.integers(0, 20))
def test_the_first_commit_that_meets_is_that_of_brute_force(
    written: list[WriteSet], asked: list[ReadSet], gap_after: int
) -> None:
    log, commits, floor = Log(Timestamp(10), WINDOW), list[Commit](), Timestamp(10)
    for number, writes in enumerate(written):
        commit = Commit(Timestamp(11 + 2 * number), writes)
        log.append([commit], Timestamp(12 + 2 * number))
        commits.append(commit)
        if number == gap_after:
            log.gap(log.position)
            commits, floor = [], log.position
        while len(commits) > WINDOW:
            floor = commits.pop(0).ts
        for reads in asked:
            for ts in range(floor, log.position + 1):
                expected = next((each for each in commits if each.ts > ts and overlap(reads, each.writes)), None)
                assert log.first_meeting(reads, Timestamp(ts)) is expected
            with pytest.raises(LogGap):
                log.first_meeting(reads, Timestamp(floor - 1))
    for _ in range(WINDOW):
        position = Timestamp(log.position + 1)
        log.append([Commit(position, WriteSet())], position)
    assert repr(log._touches) == "<Touches of 0 indexes, 0 first parts>", "what has left the window is not kept"
