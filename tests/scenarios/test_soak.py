"""Would the soak notice? Its arithmetic, its verdict on memory, and visitors of a real server of whom some miss an update.

The soak itself is `make soak`; what it has in common with the torture is told in every run of the suite by `test_torture`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec import Raw

from subscriptions.events import QueryChanged
from tests.scenarios.soak.crowd import Crowd, Wanted
from tests.scenarios.soak.deeds import CHANGED, Clerk, Marks, marked, stage
from tests.scenarios.soak.figures import (
    STEP,
    Latencies,
    beside_kills,
    difference,
    percentile,
    reach_ms,
    slope,
    slope_beside,
)
from tests.scenarios.soak.report import Report
from tests.scenarios.soak.visitor import FIRST_MARK, GALLERY, PAGE, Seen, Visitor, mark_of
from tests.scenarios.soak.watch import MIB, Life, Sample
from tests.support.world import World

PICTURES = ["stage-page-0", "stage-page-1"]
VISITORS = 4


# --- a crowd at a real server ------------------------------------------------------------------------------------


async def a_crowd(world: World, seed: int) -> Crowd:
    """Visitors who are there."""
    port = urlsplit(world.url).port or 0
    wanted = Wanted(seed, VISITORS, len(PICTURES), [port], port, 0.0)
    crowd = Crowd(wanted)
    await crowd.arrive()
    return crowd


async def test_visitors_have_every_write_and_who_misses_one_is_noticed(world: World) -> None:
    images = world.runtime.store.database["images"]
    await images.insert_many(stage(len(PICTURES)))
    there, deaf = await a_crowd(world, 1), await a_crowd(world, 2)
    for crowd in (there, deaf):
        assert await crowd.settle(FIRST_MARK) == 0
    for each in deaf.visitors:
        await each.leave()
    last = await Marks(images).last([CHANGED, *PICTURES])
    assert await there.settle(last) == 0
    assert (await there.compare())[2] == []
    assert [sum(there.seen.pushes[path].of().values()) for path in (GALLERY, PAGE)] == [VISITORS, VISITORS]
    answers, reads, wrong = await deaf.compare()
    assert (answers, reads) == (2 * VISITORS, 1 + len(PICTURES))
    assert len(wrong) == reads
    assert all("LOST UPDATE" in each for each in wrong)
    assert any(f"{VISITORS} visitors' {GALLERY}" in each and CHANGED in each for each in wrong)

    for each in deaf.visitors:
        each.come()
    assert await deaf.settle(last) == 0
    assert (await deaf.compare())[2] == []
    assert not [*there.seen.problems, *deaf.seen.problems]
    for crowd in (there, deaf):
        for each in crowd.visitors:
            await each.leave()
        assert crowd.seen.online == 0


def test_an_answer_that_goes_back_is_noticed() -> None:
    seen = Seen()
    visitor = Visitor(random.Random(1), PICTURES[0], [0], seen)
    for mark in (2_000_000, 3_000_000, 1_000_000):
        answer = Raw(f'{{"placeholderBlurDataUrl":"{marked(mark)}"}}'.encode())
        assert mark_of(answer) == mark
        visitor._heed(QueryChanged(visitor.page, answer), 5_000_000, is_first=False)
    assert sum(seen.pushes[PAGE].of().values()) == 1, "the first one may be of any age; one was a push; one went back"
    assert percentile(seen.pushes[PAGE].of(), 100) == pytest.approx(2.0, rel=STEP - 1)
    assert seen.problems == [f"{PAGE} went back from the write at 3000000 to the one at 1000000"]


# --- arithmetic --------------------------------------------------------------------------------------------------


def test_percentiles_are_at_most_a_step_too_high() -> None:
    times = Latencies()
    for number in range(1, 1_001):
        times.add(number % 7, number / 4)
    for part, exact in ((50, 125.0), (90, 225.0), (99, 247.5), (100, 250.0)):
        assert exact <= percentile(times.of(), part) <= exact * STEP
    assert math.isnan(percentile(Latencies().of(), 50))
    assert percentile({0: 1}, 50) == reach_ms(0)


def test_latencies_are_told_and_heard_by_the_second() -> None:
    times = Latencies()
    times.add(10.2, 1.0)
    times.add(10.9, 1.0)
    times.add(21.0, 700.0)
    heard = Latencies.heard(times.told())
    assert heard.of() == times.of()
    shadowed = beside_kills([20.5])
    assert sum(heard.of(shadowed).values()) == 1
    assert sum(heard.of(lambda second: not shadowed(second)).values()) == 2
    assert [second for second in range(40) if shadowed(second)] == list(range(20, 31))


def test_slopes() -> None:
    assert slope([(0, 1), (1, 3), (2, 5)]) == pytest.approx(2)
    assert slope([(0, 1), (1, 0), (2, 1)]) == pytest.approx(0)
    assert math.isnan(slope([(1, 1)]))
    assert math.isnan(slope([(1, 1), (1, 2)]))
    moving = [(float(x), float(z), 3.0 * x + 5.0 * z) for x, z in ((0, 9), (1, 2), (2, 7), (3, 1), (4, 4))]
    assert slope_beside(moving) == pytest.approx(3)
    assert math.isnan(slope_beside([(0, 0, 1), (1, 1, 2), (2, 2, 3)])), (
        "sockets that only grow with time explain as much"
    )


@pytest.mark.parametrize(
    ("held", "now", "says"),
    [
        (b'{"a":1.0,"b":[1]}', {"b": [1], "a": 1}, None),
        (b"null", {"a": 1}, "it shows None"),
        (b'{"a":1,"b":2}', {"a": 1, "b": 3}, "shows {'b': 2}, and it is {'b': 3}"),
        (b'{"page":[]}', {"page": [{"_id": "x"}]}, "does not show ['x']"),
        (b'{"page":[{"_id":"x"}]}', {"page": []}, "still shows ['x']"),
        (b'{"page":[{"_id":"x","n":1}]}', {"page": [{"_id": "x", "n": 2}]}, "shows an older x"),
        (b'{"page":[],"isDone":false}', {"page": [], "isDone": True}, "isDone"),
    ],
)
def test_differences_are_said(held: bytes, now: Any, says: str | None) -> None:
    found = difference(held, now)
    assert found is None if says is None else found is not None and says in found


# --- verdicts ----------------------------------------------------------------------------------------------------


def a_report(size: Callable[[float], float], minutes: float, lives: int = 1) -> Report:
    """A report of a survivor that occupies so many MiB after so many seconds."""
    samples = [
        Sample(float(at), int(size(at) * MIB), 0, at / 10, sockets=100 + at % 3)
        for at in range(0, int(minutes * 60), 5)
    ]
    return Report(
        "", 0.0, minutes * 60, [(60.0, "web 1")], [Life("web 0", number, samples) for number in range(lives)],
        {"the crowd": 0.5, "members, stand-ins, this audit": 0.1},
        {name: Latencies() for name in ("gallery", "page", "mutations", "late", "returns", "openings", "delays")},
        {}, {}, [], [],
    )  # fmt: skip


def test_memory_that_grows_is_a_problem_where_there_was_time_to_see_it() -> None:
    def leaking(at: float) -> float:
        return 100 + at / 60

    def settling(at: float) -> float:
        return 100 + min(at, 60)

    assert [each.partition(":")[0] for each in a_report(leaking, 20).problems] == ["LEAK"]
    assert "10.0 MiB in ten minutes" in str(a_report(leaking, 20))
    assert a_report(leaking, 5).problems == []
    assert a_report(settling, 20).problems == []
    assert a_report(settling, 20, lives=2).problems == ["web 0 was not to be killed, and had 2 lives"]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ({"ben": "new", "eva": None}, None),
        ({"ben": "newer", "eva": None}, "ben is called new, and by Clerk newer"),
        ({"ben": None, "eva": None}, "has an account"),
        ({"ana": "x", "ben": "new", "eva": None}, "ana is called x by Clerk, and has no account"),
        ({"ben": "new", "eva": None, "left": None}, "left has left, and 7 credits stay"),
    ],
)
def test_what_clerk_said_last_is_held_against_the_books(names: dict[str, str | None], says: str | None) -> None:
    clerk = Clerk([], "", random.Random(1))
    clerk.names = names
    rows: dict[str, list[dict[str, Any]]] = {
        "users": [{"userId": "ben", "name": "new"}],
        "ledger": [{"userId": "eva", "amount": each} for each in (10, -10)] + [{"userId": "left", "amount": 7}],
    }
    found = clerk.problems(rows)
    assert found == [] if says is None else any(says in each for each in found)
