"""The order of migrations, and that nobody changes the schema without one."""

from __future__ import annotations

import pytest

from schema.errors import OutOfOrder
from schema.migrations import LATEST, STEPS, Step, beyond, following, lacking
from schema.tables import TABLES
from server.store.setup import shape

ONE, TWO, THREE, FOUR = (
    Step(1, "pre", "one"), Step(2, "post", "two"), Step(3, "pre", "three"), Step(4, "post", "four"),
)  # fmt: skip
RELEASES = (ONE, TWO, THREE, FOUR)


def test_the_steps_are_numbered_and_the_last_pre_step_knows_the_schema() -> None:
    assert [step.number for step in STEPS] == list(range(1, LATEST + 1))
    assert all(mending.table in TABLES for step in STEPS for mending in step.mendings)
    newest = [step for step in STEPS if step.phase == "pre"][-1]
    assert newest.shape == shape(), "The schema has changed: add a step to schema/migrations.py, with this shape."


@pytest.mark.parametrize(
    ("taken", "pre", "post"),
    [
        ([], [ONE], "Step 2 (two) comes after step 1 (one)"),
        ([1], "Step 3 (three) comes after step 2 (two)", [TWO]),
        ([1, 2], [THREE], "Step 4 (four) comes after step 3 (three)"),
        ([1, 2, 3], [], [FOUR]),
        ([1, 2, 3, 4], [], []),
    ],
)
def test_steps_are_taken_in_order(taken: list[int], pre: list[Step] | str, post: list[Step] | str) -> None:
    for phase, expected in (("pre", pre), ("post", post)):
        if isinstance(expected, str):
            with pytest.raises(OutOfOrder) as refused:
                following(RELEASES, taken, "pre" if phase == "pre" else "post")
            assert str(refused.value).startswith(expected)
        else:
            assert following(RELEASES, taken, "pre" if phase == "pre" else "post") == expected


def test_steps_of_one_phase_in_a_row_are_taken_together() -> None:
    steps = (ONE, Step(2, "pre", "too"), Step(3, "post", "then"))
    assert following(steps, [], "pre") == list(steps[:2])
    assert following(steps, [1], "pre") == [steps[1]]


def test_a_process_needs_what_comes_before_it_and_no_more() -> None:
    assert lacking(RELEASES, [1, 2]) == [THREE]
    assert lacking(RELEASES, [1, 3]) == []
    older = RELEASES[:2]
    assert beyond(older, {1: "pre", 2: "post", 3: "pre"}, "post") == []
    assert beyond(older, {1: "pre", 2: "post", 3: "pre"}, "pre") == [3]
    assert beyond(older, {1: "pre", 3: "pre", 4: "post"}, "post") == [4]
