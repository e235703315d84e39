"""What a hub remembers of its runs: why each took place, who shared it, and that it stays bounded whatever is asked."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import Raw

from schema.keys import KeyRange, after, key_of
from schema.readset import Commit, ReadSet, Touch, WriteSet
from schema.values import Millis, Timestamp
from subscriptions import history as limits
from subscriptions.answers import Answer, Question
from subscriptions.effects import Value
from subscriptions.history import NEVER_RAN, Cost, History, Met, Told, meeting
from subscriptions.hub import Evaluated, Hub
from subscriptions.log import Log

START = Timestamp(100)
WALL = KeyRange("images", "by_featured", key_of(True))
NEWEST = WALL.narrowed(low=key_of(50.0))
SETTINGS = KeyRange("settings", "by_id", key_of("global"))
READS = ReadSet((SETTINGS, NEWEST))
WALL_PATH = "images:wall"


def touch(*key: bool | float | str) -> Touch:
    return Touch("images", "by_featured", key_of(*key))


def commit(ts: int, *touches: Touch) -> Commit:
    return Commit(Timestamp(ts), WriteSet(frozenset(touches)))


def question(arguments: bytes = b"{}", path: str = WALL_PATH) -> Question:
    return Question(path, arguments, None)


class Person:
    """Somebody who shows an answer and does not ask again by themselves."""

    def invalidated(self, query_id: int) -> None:
        """Nothing follows from it here."""


class Stage:
    """A hub whose queries read what the test says, at the hour it says."""

    def __init__(self) -> None:
        self.now: Millis = 1_000.0
        self.reads = READS
        self.hub: Hub[str | None] = Hub(
            Log(START), self._evaluate, facet=lambda caller, _: caller, nudge=lambda: None, clock=lambda: self.now
        )

    async def _evaluate(self, asked: Question, caller: str | None, ts: Timestamp) -> Evaluated:
        self.now += 2.0
        return Evaluated(Value(Raw(b"null"), b"same"), self.reads, documents=7)

    async def ask(self, caller: str | None = None, watchers: int = 0) -> Answer:
        answer = await self.hub.answer(question(), caller, self.hub.position)
        for number in range(watchers):
            self.hub.watch(answer, Person(), number)
        return answer

    def told(self) -> list[Told]:
        return self.hub.history.told(WALL_PATH)


async def test_a_run_is_told_with_its_cost_and_what_it_read() -> None:
    stage = Stage()
    await stage.ask()
    (run,) = stage.told()
    assert run.cost == Cost(at=1_000.0, took_ms=2.0, documents=7)
    assert (run.ts, run.arguments, run.asker, run.reason) == (START, "{}", (), "first")
    assert (run.ranges, run.range_count, run.shown_to, run.met) == (READS.ranges, 2, None, None)


async def test_a_commit_is_told_with_the_key_and_the_range_that_met() -> None:
    stage = Stage()
    await stage.ask(watchers=3)
    found = touch(True, 60.0, "b")
    stage.hub.deliver([commit(110, touch(True, 40.0, "a"), found, touch(True, 70.0, "c"))], Timestamp(120))
    await stage.ask()
    after_it, before = stage.told()
    assert before.shown_to == 3
    assert (after_it.reason, after_it.because_ts, after_it.met) == ("commit", 110, Met(NEWEST, found.key))
    assert after_it.shown_to is None


async def test_a_commit_that_was_there_already_is_told_too() -> None:
    """The answer was out of date the moment it was computed."""
    stage = Stage()
    stage.hub.deliver([commit(110, touch(True, 60.0, "b"))], Timestamp(120))
    await stage.hub.answer(question(), None, START)
    await stage.ask()
    assert [each.reason for each in stage.told()] == ["commit", "first"]


async def test_lost_history_is_a_reason() -> None:
    stage = Stage()
    await stage.ask()
    stage.hub.lost(Timestamp(300))
    await stage.ask()
    assert [(each.reason, each.because_ts) for each in stage.told()] == [("gap", 300), ("first", None)]


async def test_time_is_a_reason() -> None:
    stage = Stage()
    stage.reads = ReadSet(READS.ranges, deadline=stage.now + 10.0)
    person = Waiting()
    stage.hub.watch(await stage.ask(), person, 0)
    stage.now += 10.0
    await person.told
    stage.reads = READS
    await stage.ask()
    assert [(each.reason, each.because_ts) for each in stage.told()] == [("time", None), ("first", None)]
    await stage.hub.close()


class Waiting(Person):
    """Somebody who can be waited for."""

    def __init__(self) -> None:
        self.told: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def invalidated(self, query_id: int) -> None:
        self.told.set_result(None)


async def test_each_asker_has_reasons_of_their_own() -> None:
    stage = Stage()
    stage.reads = ReadSet(READS.ranges, facets=frozenset({"subject"}))
    await stage.ask("ana")
    stage.hub.deliver([commit(110, touch(True, 60.0, "b"))], Timestamp(120))
    await stage.ask("ben")
    await stage.ask("ana")
    assert [(each.asker, each.reason) for each in stage.told()] == [
        ((("subject", "ana"),), "commit"),
        ((("subject", "ben"),), "first"),
        ((("subject", "ana"),), "first"),
    ]


async def test_what_reads_nothing_is_not_remembered() -> None:
    stage = Stage()
    stage.reads = ReadSet()
    assert (await stage.ask()).run is NEVER_RAN
    assert stage.told() == []


# --- bounds ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def history() -> History:
    """Nothing has run yet."""
    return History(Log(START))


def remember(history: History, path: str = WALL_PATH, arguments: bytes = b"{}", reads: ReadSet = READS) -> None:
    history.remember(path, arguments, (), START, reads, Cost(0.0, 0.0, 0))


def test_the_last_runs_are_kept_the_newest_first(history: History) -> None:
    for number in range(limits.RUNS_PER_PATH + 5):
        remember(history, arguments=b"%d" % number)
    kept = [int(each.arguments) for each in history.told(WALL_PATH)]
    assert kept == list(range(limits.RUNS_PER_PATH + 4, 4, -1))


def test_functions_are_bounded_and_the_oldest_goes(history: History) -> None:
    for number in range(limits.MAX_PATHS + 1):
        remember(history, path=f"images:f{number}")
    assert history.told("images:f0") == []
    assert len(history.told("images:f1")) == 1


def test_askers_are_bounded_and_the_oldest_is_a_stranger_again(history: History) -> None:
    for number in range(limits.ASKERS_PER_PATH + 1):
        remember(history, arguments=b"%d" % number)
    remember(history, arguments=b"1")
    remember(history, arguments=b"0")
    assert [each.reason for each in history.told(WALL_PATH)][:2] == ["first", "again"]


def test_long_arguments_and_wide_read_sets_are_cut(history: History) -> None:
    wide = ReadSet(tuple(KeyRange("images", "by_id", key_of(str(number))) for number in range(1_000)))
    long = b"x" * 100_000
    remember(history, arguments=long, reads=wide)
    remember(history, arguments=long + b"y", reads=wide)
    remember(history, arguments=long, reads=wide)
    runs = history.told(WALL_PATH)
    assert {len(each.arguments) for each in runs} == {limits.MAX_ARGUMENT_BYTES}
    assert {(len(each.ranges), each.range_count) for each in runs} == {(limits.MAX_RANGES, 1_000)}
    assert [each.reason for each in runs] == ["again", "first", "first"]  # cut, and still told apart


def test_a_large_commit_is_found_in_the_log_as_long_as_that_has_it() -> None:
    log = Log(START, max_commits=1)
    history = History(log)
    large = commit(110, *(touch(True, 60.0 + number, "b") for number in range(limits.MAX_TOUCHES_KEPT + 1)))
    history.remember(WALL_PATH, b"{}", (), START, READS, Cost(0.0, 0.0, 0)).end("commit", large.ts, large.writes, 0)
    remember(history)
    log.append([large], Timestamp(110))
    assert history.told(WALL_PATH)[0].met == Met(NEWEST, key_of(True, 60.0, "b"))
    log.append([commit(111)], Timestamp(111))
    assert (history.told(WALL_PATH)[0].because_ts, history.told(WALL_PATH)[0].met) == (110, None)


def test_only_the_first_end_counts(history: History) -> None:
    run = history.remember(WALL_PATH, b"{}", (), START, READS, Cost(0.0, 0.0, 0))
    run.end("time", None, WriteSet(), 4)
    run.end("gap", Timestamp(5), WriteSet(), 0)
    remember(history)
    assert [(each.reason, each.shown_to) for each in history.told(WALL_PATH)] == [("time", None), ("first", 4)]


# --- what meets ------------------------------------------------------------------------------------------------------


def test_what_meets_is_in_the_first_range_that_is_met() -> None:
    writes = WriteSet(frozenset({touch(True, 70.0, "a"), Touch("settings", "by_id", key_of("global"))}))
    assert meeting(READS.ranges, writes) == Met(SETTINGS, key_of("global"))


def test_a_table_of_which_no_more_is_known_meets_without_a_key() -> None:
    assert meeting(READS.ranges, WriteSet(tables=frozenset({"images"}))) == Met(NEWEST, None)


def test_what_lies_beside_the_ranges_meets_nothing() -> None:
    beside = NEWEST.narrowed(high=after(key_of(90.0)))
    writes = WriteSet(frozenset({touch(True, 91.0, "a"), touch(False, 60.0, "a"), Touch("jobs", "by_id", key_of("x"))}))
    assert meeting((beside,), writes) is None
