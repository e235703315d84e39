"""The matcher against brute force: after any history of watching, its hits are those of `schema.readset.overlap`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schema.keys import Key, KeyRange, after, key_of
from schema.readset import ReadSet, Touch, WriteSet, overlap
from schema.values import Scalar
from subscriptions.matcher import Matcher

# Few values, so that keys and ranges meet often.
SCALARS: st.SearchStrategy[Scalar] = st.sampled_from([None, False, True, 0, 1, 1.0, 2.5, "", "a", "b"])
TABLES = st.sampled_from(["images", "users"])
INDEXES = st.sampled_from(["by_id", "by_user"])
TOKENS = st.integers(0, 12)
KEYS: st.SearchStrategy[Key] = st.lists(SCALARS, max_size=3).map(lambda values: key_of(*values))
ENDS: st.SearchStrategy[Key] = st.one_of(KEYS, KEYS.map(after))
RANGES = st.builds(KeyRange, TABLES, INDEXES, KEYS, ENDS, ENDS) | st.builds(KeyRange, TABLES, INDEXES, KEYS)
# Most ranges share one prefix, so that its tree grows.
CROWDED = st.builds(KeyRange, st.just("images"), st.just("by_user"), st.just(key_of("a")), ENDS, ENDS)
READ_SETS = st.lists(RANGES | CROWDED, max_size=6).map(lambda each: ReadSet(tuple(each)))
TOUCHES = st.tuples(TABLES, INDEXES, KEYS).map(lambda fields: Touch(*fields))
WRITES = st.tuples(st.frozensets(TOUCHES, max_size=6), st.frozensets(TABLES, max_size=1)).map(
    lambda fields: WriteSet(*fields)
)
STEPS = st.lists(
    st.one_of(st.tuples(TOKENS, READ_SETS), st.tuples(TOKENS, st.none()), WRITES),
    max_size=40,
)


@given(STEPS, WRITES)
def test_hits_are_those_of_brute_force(steps: list[tuple[int, ReadSet | None] | WriteSet], last: WriteSet) -> None:
    matcher: Matcher[int] = Matcher()
    watched: dict[int, ReadSet] = {}
    for step in [*steps, last]:
        match step:
            case WriteSet():
                assert matcher.hits(step) == {token for token, reads in watched.items() if overlap(reads, step)}
            case (token, None):
                matcher.unwatch(token)
                watched.pop(token, None)
            case (token, reads):
                matcher.watch(token, reads)
                watched[token] = reads
        assert len(matcher) == len(watched)
    distinct = {each for reads in watched.values() for each in reads.ranges}
    assert f" {len(distinct)} ranges of " in repr(matcher)
    for token in watched:
        matcher.unwatch(token)
    assert repr(matcher) == "<Matcher 0 tokens, 0 ranges of no table>"


@given(st.lists(CROWDED, min_size=30, max_size=150), st.lists(KEYS, min_size=1, max_size=20))
def test_one_crowded_prefix(ranges: list[KeyRange], rests: list[Key]) -> None:
    matcher: Matcher[int] = Matcher()
    for token, each in enumerate(ranges):
        matcher.watch(token, ReadSet((each,)))
    for kept in (len(ranges), len(ranges) // 2, 3):
        for token in range(kept, len(ranges)):
            matcher.unwatch(token)
        for rest in rests:
            key = key_of("a") + rest
            hits = matcher.hits(WriteSet(frozenset({Touch("images", "by_user", key)})))
            assert hits == {token for token, each in enumerate(ranges[:kept]) if each.contains(key)}
