"""What `explain` prints: names that are wrong, arguments that are missing, ranges and reasons in words, in 100 columns."""

from __future__ import annotations

import msgspec
import pytest

from schema.keys import KeyRange, after, key_of, one_document
from schema.readset import ReadSet
from schema.values import Timestamp
from server.config import ConfigurationError
from server.explain import COLUMNS, Evaluation, arguments_for, evaluation_text, find_query, remembered_text
from server.functions import published
from server.web.explain import Remembered
from subscriptions.effects import Failure, Value
from subscriptions.history import Cost, Met, Told

GALLERY = "images:getPublicGallery"
TS = Timestamp(1_732_412_345 << 32 | 7)
WALL = KeyRange("images", "by_isFeatured_and_isDisabledByAdmin_and_featuredAt", key_of(True, False))
RUN = Told(
    cost=Cost(at=1_732_412_345_120.0, took_ms=1.25, documents=1),
    ts=TS,
    arguments="{}",
    asker=(),
    ranges=(WALL,),
    range_count=1,
    shown_to=None,
    reason="first",
    because_ts=None,
    met=None,
)


def evaluation(*ranges: KeyRange, facets: frozenset[str] = frozenset(), subject: str | None = None) -> Evaluation:
    return Evaluation(
        function=find_query(published(), GALLERY),
        arguments=b"{}",
        subject=subject,
        ts=TS,
        took_ms=3.14,
        result=Value(msgspec.Raw(b"[1,2]"), b""),
        reads=ReadSet(ranges, facets),
        documents=1_300,
    )


def told(**changes: object) -> str:
    return " ".join(remembered_text(Remembered("web-1", (msgspec.structs.replace(RUN, **changes),), 1, 2)).split())


# --- what to explain -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "near", ["images:getPublicGalery", "images:publicGallery", "getPublicGallery", "Images:GETpublicgallery"]
)
def test_an_unknown_query_is_answered_with_the_nearest_names(near: str) -> None:
    with pytest.raises(ConfigurationError, match=f"There is no query {near}. The nearest names: .*{GALLERY}"):
        find_query(published(), near)


def test_even_nonsense_gets_names() -> None:
    with pytest.raises(ConfigurationError, match=r"The nearest names: \w+:\w+, \w+:\w+, \w+:\w+\.$"):
        find_query(published(), "%%%")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("images:deleteImage", "a mutation"),
    ],
)
def test_what_never_runs_again_is_said_to(path: str, kind: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{path} is {kind}: it runs when it is called"):
        find_query(published(), path)


def test_a_page_is_the_first_one_by_default() -> None:
    function = find_query(published(), GALLERY)
    chosen = arguments_for(function, None)
    assert chosen == b'{"paginationOpts":{"cursor":null,"numItems":20}}'
    assert function.decode(chosen)["pagination_opts"].num_items == 20


@pytest.mark.parametrize("given", [None, "{}", '{"imageID": "x"}'])
def test_missing_arguments_are_named(given: str | None) -> None:
    with pytest.raises(ConfigurationError, match="It takes imageId"):
        arguments_for(find_query(published(), "images:getImageById"), given)


@pytest.mark.parametrize("given", ["", "{", "[1]", "nonsense"])
def test_arguments_that_are_no_object_are_refused(given: str) -> None:
    with pytest.raises(ConfigurationError, match="images:getImageById: arguments: "):
        arguments_for(find_query(published(), "images:getImageById"), given)


# --- one evaluation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (WALL, "isFeatured = true, isDisabledByAdmin = false"),
        (one_document("images", "abc"), '_id = "abc"'),
        (KeyRange("users", "by_userId", ()), "all of it"),
        (WALL.narrowed(low=key_of(5.0, "x")), 'isDisabledByAdmin = false, from featuredAt = 5, _id = "x"'),
        (WALL.narrowed(low=after(key_of(5.0))), "isDisabledByAdmin = false, after featuredAt = 5"),
        (WALL.narrowed(high=key_of(1_732_412_345_678.5)), "false, below featuredAt = 1732412345678.5"),
        (WALL.narrowed(high=after(key_of(None))), "false, up to featuredAt = absent"),
        (KeyRange("a_table_of_tomorrow", "by_what", key_of("x")), '_id = "x"'),
    ],
)
def test_a_range_is_told_by_the_names_of_its_fields(keys: KeyRange, words: str) -> None:
    lines = evaluation_text(evaluation(keys)).splitlines()
    place = lines.index(f"  {keys.table} {keys.index}")
    assert " ".join(" ".join(lines[place + 1 :]).split()).endswith(words)


def test_an_evaluation_says_what_it_cost_and_when_it_was() -> None:
    text = " ".join(evaluation_text(evaluation(WALL)).split())
    assert "5 bytes; 1,300 documents read in 3.1 ms, as of 2024-11-24 01:39:05 UTC" in text
    assert "shared by everybody who asks with these arguments" in text
    assert "runs again when a commit writes a key that was read" in text


def test_an_answer_of_ones_own_is_shared_by_nobody() -> None:
    assert "nobody but ana: it looks at the caller's subject" in evaluation_text(
        evaluation(WALL, facets=frozenset({"subject"}), subject="ana")
    )
    assert "--as SUBJECT" in evaluation_text(evaluation(WALL, facets=frozenset({"subject"})))


def test_a_refusal_and_a_query_that_reads_nothing_are_said() -> None:
    refused = msgspec.structs.replace(
        evaluation(), result=Failure("UNAUTHENTICATED: Please sign in first.", None, b"", None)
    )
    text = evaluation_text(refused)
    assert "refused (UNAUTHENTICATED: Please sign in first.)" in text
    assert "runs again  never" in text


def test_a_deadline_is_a_moment() -> None:
    timed = msgspec.structs.replace(evaluation(), reads=ReadSet((WALL,), deadline=1_732_412_400_000.0))
    assert "by itself at 2024-11-24 01:40:00.000 UTC" in " ".join(evaluation_text(timed).split())


# --- what a server remembers -----------------------------------------------------------------------------------------


def test_a_commit_is_told_by_key_and_range() -> None:
    met = Met(WALL.narrowed(low=key_of(5.0)), key_of(True, False, 7.0, "abc"))
    text = told(reason="commit", because_ts=TS, met=met)
    assert f"because the commit of 2024-11-24 01:39:05 ({TS}) wrote images {WALL.index}: isFeatured = true," in text
    assert 'featuredAt = 7, _id = "abc"; the answer before had read' in text
    assert text.endswith("from featuredAt = 5")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "because it was asked for the first time that is remembered"),
        ({"reason": "again"}, "no answer was kept for that moment"),
        ({"reason": "time"}, "the time had come"),
        ({"reason": "gap", "because_ts": TS}, "commits were missed"),
        ({"reason": "commit", "because_ts": TS}, "its keys are not remembered any more"),
        (
            {"reason": "commit", "because_ts": TS, "met": Met(WALL, None)},
            "changed images in a way of which no more is known",
        ),
        ({"shown_to": 1}, "1 document, 1 range, shown 1 time until it ended"),
        ({"asker": (("subject", "ana"),)}, "for ana, with {}"),
        ({"asker": (("subject", None),)}, "for a visitor, with {}"),
        ({"asker": (("subject", "ana\0root"),)}, "for ana in the hands of root, with {}"),
    ],
)
def test_a_run_is_told_in_words(changes: dict[str, object], words: str) -> None:
    assert words in told(**changes)


def test_nothing_remembered_is_said_too() -> None:
    assert "no run is remembered; 0 answers now" in remembered_text(Remembered("web-1", (), 0, 0))


def test_no_line_is_wider_than_a_terminal() -> None:
    long = Met(one_document("images", "x" * 5_000), key_of("x" * 5_000))
    run = msgspec.structs.replace(
        RUN,
        reason="commit",
        because_ts=TS,
        met=long,
        arguments=f'{{"a": "{"b c" * 500}"}}',
        asker=(("subject", "ana"),),
    )
    text = remembered_text(Remembered("web-1", (run,) * 20, 1, 1))
    text += evaluation_text(evaluation(WALL, *(one_document("images", "x" * 90) for _ in range(100))))
    assert max(len(line) for line in text.splitlines()) <= COLUMNS
    assert "and 61 more" in text
