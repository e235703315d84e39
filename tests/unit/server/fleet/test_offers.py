"""What is offered to other processes at all: everybody's answers that are worth it, and nobody's own."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from schema.keys import BY_ID, KeyRange, key_of
from schema.readset import ReadSet
from schema.values import Timestamp
from server.fleet.offers import MAX_RANGES, MAX_VALUE_BYTES, MIN_DOCUMENTS, MIN_TOOK_MS, offer_of
from subscriptions.effects import Failure, Value
from subscriptions.hub import Evaluated

CHEAP, DEAR = MIN_TOOK_MS / 2, MIN_TOOK_MS
RANGE = KeyRange("images", BY_ID, key_of("a"))


def evaluated(
    size: int = 2, ranges: int = 1, documents: int = MIN_DOCUMENTS, facets: frozenset[str] = frozenset()
) -> Evaluated:
    return Evaluated(Value(Raw(b"1" * size), b"1"), ReadSet((RANGE,) * ranges, facets), documents)


def test_everybodys_answer_with_all_that_it_depended_on() -> None:
    found = evaluated()
    offer = offer_of(found, Timestamp(7), CHEAP)
    assert offer is not None
    assert offer.ts == 7
    assert offer.evaluated() == msgspec.structs.replace(found, is_adopted=True, result=offer.evaluated().result)
    assert offer.evaluated().result == Value(Raw(b"11"), offer.evaluated().result.digest)


def test_an_answer_that_looked_at_who_asks_is_nobody_elses() -> None:
    assert offer_of(evaluated(facets=frozenset({"subject"})), Timestamp(7), DEAR) is None


def test_a_refusal_stays_where_its_log_is() -> None:
    refused = Evaluated(Failure("Server Error", None, b"error", None), ReadSet((RANGE,)), MIN_DOCUMENTS)
    assert offer_of(refused, Timestamp(7), DEAR) is None


@pytest.mark.parametrize(
    ("found", "took_ms", "is_offered"),
    [
        (evaluated(documents=MIN_DOCUMENTS - 1), CHEAP, False),
        (evaluated(documents=MIN_DOCUMENTS - 1), DEAR, True),
        (evaluated(documents=MIN_DOCUMENTS), CHEAP, True),
        (evaluated(size=MAX_VALUE_BYTES), CHEAP, True),
        (evaluated(size=MAX_VALUE_BYTES + 1), CHEAP, False),
        (evaluated(ranges=MAX_RANGES), CHEAP, True),
        (evaluated(ranges=MAX_RANGES + 1), CHEAP, False),
    ],
)
def test_what_is_worth_it(found: Evaluated, took_ms: float, is_offered: bool) -> None:
    assert (offer_of(found, Timestamp(7), took_ms) is not None) is is_offered
