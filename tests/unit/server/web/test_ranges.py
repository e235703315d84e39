"""Ranges and conditions: a table of what people send, and properties that hold for whatever they send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.web.ranges import Span, Unsatisfiable, has_it, may_be_partial, requested

SIZE = 1_000
ETAG = '"abc"'

SATISFIED = {
    "bytes=0-0": Span(0, 1),
    "bytes=0-": Span(0, 1_000),
    "bytes=999-": Span(999, 1_000),
    "bytes=200-499": Span(200, 500),
    "bytes=200-99999": Span(200, 1_000),
    "bytes=-1": Span(999, 1_000),
    "bytes=-1000": Span(0, 1_000),
    "bytes=-5000": Span(0, 1_000),
    "bytes=00000000000000000000000005-7": Span(5, 8),
    f"bytes=5-{'9' * 5_000}": Span(5, 1_000),
    f"bytes=-{'9' * 5_000}": Span(0, 1_000),
    "BYTES=1-2": Span(1, 3),
    "bytes= 1 - 2 ": Span(1, 3),
    "bytes=1-2,": Span(1, 3),
}

IGNORED = [
    None,
    "",
    "bytes",
    "bytes=",
    "bytes=-",
    "bytes=,",
    "bytes=5-2",
    "bytes=a-b",
    "bytes=0x1-0x2",
    "bytes=1-2-3",
    "bytes=+1-2",
    "bytes=\u00b2-\u00b3",
    "bytes=1-2,x",
    "items=0-1",
    "0-1",
]

UNSATISFIABLE = ["bytes=1000-", "bytes=1000-1001", "bytes=-0", f"bytes={'9' * 5_000}-", "bytes=0-1,4-5", "bytes=0-,-1"]


@pytest.mark.parametrize(("header", "span"), SATISFIED.items())
def test_a_range_that_can_be_had(header: str, span: Span) -> None:
    assert requested(header, SIZE) == span


@pytest.mark.parametrize("header", IGNORED)
def test_what_is_malformed_asks_for_the_whole_file(header: str | None) -> None:
    assert requested(header, SIZE) is None


@pytest.mark.parametrize("header", UNSATISFIABLE)
def test_what_cannot_be_had_is_refused(header: str) -> None:
    with pytest.raises(Unsatisfiable) as refused:
        requested(header, SIZE)
    assert refused.value.size == SIZE


def test_of_an_empty_file_there_are_no_parts() -> None:
    for header in ("bytes=0-", "bytes=-1", "bytes=0-0"):
        with pytest.raises(Unsatisfiable):
            requested(header, 0)


def test_a_span_names_both_of_its_ends() -> None:
    assert Span(200, 500).content_range(SIZE) == "bytes 200-499/1000"
    assert len(Span(200, 500)) == 300


@given(st.text(alphabet="bytes=0123456789-, \t+x²", max_size=40), st.integers(0, 2_000))
def test_whatever_is_sent_gives_a_part_of_the_file_or_none(header: str, size: int) -> None:
    try:
        span = requested(header, size)
    except Unsatisfiable:
        return
    assert span is None or 0 <= span.start < span.end <= size


@given(st.binary(min_size=1, max_size=64), st.integers(0, 70), st.integers(0, 70))
def test_a_range_means_what_slicing_means(content: bytes, first: int, last: int) -> None:
    expected = content[first : last + 1]
    if last < first:
        assert requested(f"bytes={first}-{last}", len(content)) is None
    elif not expected:
        with pytest.raises(Unsatisfiable):
            requested(f"bytes={first}-{last}", len(content))
    else:
        span = requested(f"bytes={first}-{last}", len(content))
        assert span is not None
        assert content[span.start : span.end] == expected


@given(st.binary(min_size=1, max_size=64), st.integers(1, 70))
def test_a_suffix_is_the_end_of_the_file(content: bytes, length: int) -> None:
    span = requested(f"bytes=-{length}", len(content))
    assert span is not None
    assert content[span.start : span.end] == content[-length:]


@pytest.mark.parametrize(
    ("header", "held"),
    [
        (None, False),
        ("", False),
        ('"abc"', True),
        ('W/"abc"', True),
        ('"x", "abc"', True),
        ('"x",W/"abc" ,"y"', True),
        ("*", True),
        ('"x"', False),
        ("abc", False),
        ('"ab"', False),
    ],
)
def test_what_the_client_holds_already(header: str | None, held: bool) -> None:
    assert has_it(header, ETAG) is held


@pytest.mark.parametrize(
    ("header", "partial"),
    [
        (None, True),
        ('"abc"', True),
        (' "abc" ', True),
        ('W/"abc"', False),
        ('"x"', False),
        ("Sat, 21 Nov 2026 10:00:00 GMT", False),
        ("", False),
    ],
)
def test_a_part_is_sent_only_of_the_same_content(header: str | None, partial: bool) -> None:
    assert may_be_partial(header, ETAG) is partial
