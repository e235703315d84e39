"""The arithmetic of `docs/scale.md` against what was measured, and the page's tables against the arithmetic."""

from __future__ import annotations

import pytest

from tests.bench import scale_model
from tests.bench.scale_model import Checked, Load
from tests.house.test_imports import ROOT

PAGE = (ROOT / "docs" / "scale.md").read_text()


@pytest.mark.parametrize("point", scale_model.checked(), ids=lambda point: point.what)
def test_a_prediction_is_near_what_was_measured(point: Checked) -> None:
    assert point.is_near, point


def test_a_prediction_that_is_far_off_would_be_noticed() -> None:
    assert not Checked("", 100.0, (30.0, 49.0), "ms").is_near
    assert not Checked("", 10.0, (21.0, 22.0), "ms").is_near


@pytest.mark.parametrize("row", [*scale_model.checked_rows(), *scale_model.rows(Load())])
def test_the_page_has_the_rows_of_the_model(row: str) -> None:
    assert row in PAGE.splitlines()


def test_the_page_has_the_number_of_processes() -> None:
    assert f"from about {scale_model.fan_out_tier_from()} processes on" in " ".join(PAGE.split())


TWICE = {
    "contents in MongoDB",
    "egress of the public gallery",
    "contents through the oplog",
    "oplog of the documents",
    "mongod: our writes",
}
A_PROCESS = {"memory of sockets", "a web process: mutations", "a web process: its owners' pushes"}
"""There are twice as many of them."""


def test_twice_the_load_takes_twice_as_much_and_a_tenth_breaks_nothing() -> None:
    whole, tenth = Load(), Load(clients=100_000, images=10_000_000, generations_s=100.0)
    assert [each.what for each in scale_model.demands(whole) if each.breaks_at]
    assert not [each.what for each in scale_model.demands(tenth) if each.breaks_at]
    twice = Load(clients=2_000_000, images=200_000_000, generations_s=2_000.0, featured_s=1.0)
    before, after = ({each.what: each.use for each in scale_model.demands(load)} for load in (whole, twice))
    assert {what for what in TWICE if after[what] != pytest.approx(2 * before[what])} == set()
    assert {what for what in A_PROCESS if after[what] != pytest.approx(before[what])} == set()
    assert after["mongod: a stream for each process"] == pytest.approx(4 * before["mongod: a stream for each process"])
