"""What one process offers, held against the logs of others: only what running the query would give is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from schema.keys import BY_ID, LAST, KeyRange, key_of
from schema.readset import Commit, ReadSet, Touch, WriteSet
from schema.tables import EVERYTHING
from schema.values import Timestamp
from schema.wire import digest
from server.fleet.offers import Known, Offer, decode, encode, holds, offer_of, stale_since
from server.fleet.seal import Seal
from subscriptions.answers import Question
from subscriptions.effects import Value
from subscriptions.hub import Evaluated
from subscriptions.log import Log
from tests.property.test_matcher import READ_SETS

START, END = 10, 30
NOW = 1_000.0
TABLE = "images"
KEYS = ("a", "b", "c")
SEAL = Seal(bytes(range(32)), b"a version")
ASKED = Question("images:getPublicGallery", b"{}", None)

MOMENTS = st.integers(START - 2, END).map(Timestamp)
HISTORIES = st.dictionaries(st.integers(START + 1, END), st.sampled_from((*KEYS, "")), max_size=12)
"""When which key was written; the empty one is a commit of which only the table is known."""
QUERIES = st.sampled_from([("a",), ("b", "c"), KEYS])


class World:
    """Counters that count their writes, and queries that show some of them; the oracle forgets nothing."""

    def __init__(self, history: dict[int, str]) -> None:
        self.history = history

    def log(self, position: int, floor: int) -> Log:
        """What a process knows that has come so far, and has let go of what lies at or below the floor."""
        log = Log(Timestamp(floor))
        for ts, key in sorted(self.history.items()):
            if floor < ts <= position:
                log.append([Commit(Timestamp(ts), _written(key))], Timestamp(ts))
        log.append([], Timestamp(max(position, floor)))
        return log

    def run(self, keys: tuple[str, ...], ts: Timestamp) -> Evaluated:
        counts = [sum(key in (each, "") for when, each in self.history.items() if when <= ts) for key in keys]
        value = repr(counts).encode()
        ranges = tuple(KeyRange(TABLE, BY_ID, key_of(key)) for key in keys)
        return Evaluated(Value(Raw(value), digest(value), "its end"), ReadSet(ranges), documents=9)


def _written(key: str) -> WriteSet:
    return WriteSet(frozenset({Touch(TABLE, BY_ID, key_of(key))})) if key else WriteSet(tables=frozenset({TABLE}))


@given(HISTORIES, QUERIES, MOMENTS, MOMENTS, st.integers(START, END), st.integers(START - 2, END))
def test_what_is_taken_is_what_running_it_gives(
    history: dict[int, str], keys: tuple[str, ...], ran: Timestamp, asked: Timestamp, position: int, floor: int
) -> None:
    world = World(history)
    offer = offer_of(world.run(keys, ran), ran, 0.1)
    assert offer is not None
    is_taken = holds(offer, asked, world.log(position, floor), NOW)
    if is_taken:
        assert offer.evaluated().result == world.run(keys, asked).result
        assert asked <= max(position, floor)
    met = [ts for ts, key in history.items() if min(ran, asked) < ts <= max(ran, asked) and (key in keys or not key)]
    is_known = floor <= min(ran, asked) and max(ran, asked) <= max(position, floor)
    assert is_taken is (is_known and not met)


@given(HISTORIES, QUERIES, st.lists(st.tuples(MOMENTS, st.integers(START, END)), min_size=2, max_size=2))
def test_processes_that_have_come_differently_far_name_a_stale_answer_alike(
    history: dict[int, str], keys: tuple[str, ...], ran: list[tuple[Timestamp, int]]
) -> None:
    """Whenever each of them ran it last: if the same commit is the last that met it, it has the same name."""
    world, asked = World(history), Timestamp(END)
    said = set()
    for ts, _ in ran:
        known = Known(ts, world.run(keys, ts).reads, 1.0)
        since = stale_since(known, asked, world.log(END, START - 2), NOW)
        met = [when for when, key in history.items() if ts < when <= asked and (key in keys or not key)]
        assert since == (f"commit {max(met)}" if met else None)
        said.add(since)
    assert len(said - {None}) <= 1


@pytest.mark.parametrize(("deadline", "is_taken"), [(None, True), (NOW + 1, True), (NOW, False), (NOW - 1, False)])
def test_what_time_has_overtaken_is_not_taken(deadline: float | None, is_taken: bool) -> None:
    offer = Offer(START, (), deadline, b"1", None, 9, 1.0)
    assert holds(offer, Timestamp(START), Log(Timestamp(START)), NOW) is is_taken


def test_time_alone_makes_stale_too_and_the_same_for_everybody() -> None:
    log = Log(Timestamp(START))
    known = Known(Timestamp(START), ReadSet(deadline=NOW), 1.0)
    assert stale_since(known, Timestamp(START), log, NOW - 1) is None
    assert stale_since(known, Timestamp(START), log, NOW) == f"time {NOW}"
    log.gap(Timestamp(START + 1))
    assert stale_since(known, Timestamp(START + 1), log, NOW) is None


def test_nobody_looks_through_a_storm_of_commits() -> None:
    log = Log(Timestamp(START))
    for ts in range(START + 1, START + 30):
        log.append([Commit(Timestamp(ts), EVERYTHING)], Timestamp(ts))
    reads = ReadSet((KeyRange(TABLE, BY_ID, (), (), (LAST,)),))
    assert stale_since(Known(Timestamp(START), reads, 1.0), log.position, log, NOW) is None


@given(READ_SETS, st.binary(max_size=20), st.none() | st.text(max_size=5), st.none() | st.floats(0, 1e15))
def test_an_offer_arrives_as_it_was(reads: ReadSet, value: bytes, journal: str | None, deadline: float | None) -> None:
    offer = Offer(END, reads.ranges, deadline, value, journal, 9, 1.5)
    name = SEAL.name(ASKED, "commit 11")
    content = SEAL.open(name, SEAL.close(name, encode(offer)))
    assert content is not None
    arrived = decode(content)
    assert arrived == offer
    assert repr(arrived) == repr(offer), "a whole number is not the float that equals it"


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(1, 255))
def test_what_is_damaged_or_made_up_is_nothing(made_up: bytes, place: int, change: int) -> None:
    decode(made_up)
    name = SEAL.name(ASKED, "commit 11")
    assert SEAL.open(name, made_up) is None
    closed = bytearray(SEAL.close(name, encode(Offer(END, (), None, b"[]", None, 9, 1.5))))
    closed[place % len(closed)] ^= change
    assert SEAL.open(name, bytes(closed)) is None
