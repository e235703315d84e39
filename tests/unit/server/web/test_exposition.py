"""The text that monitors read, read by the reference's own parser."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.families import FAMILIES
from server.web.exposition import exposition
from subscriptions.histogram import Histogram


def test_a_monitor_reads_what_was_meant() -> None:
    pushes = Histogram((0.1, 1.0))
    pushes.observe(0.05, count=3)
    pushes.observe(0.5)
    pushes.observe(2.0)
    text = exposition(
        {
            "anime_sockets": 3,
            "anime_push_latency_seconds": pushes,
            'anime_limits_hit_total{limit="uploads"}': 2,
            'anime_limits_hit_total{limit="mutations"}': 1,
        }
    )
    read = {family.name: family for family in text_string_to_metric_families(text)}
    assert {name: family.type for name, family in read.items()} == {
        "anime_sockets": "gauge", "anime_push_latency_seconds": "histogram", "anime_limits_hit": "counter",
    }  # fmt: skip
    assert read["anime_sockets"].documentation == FAMILIES["anime_sockets"].says
    assert {each.labels["limit"]: each.value for each in read["anime_limits_hit"].samples} == {
        "uploads": 2, "mutations": 1,
    }  # fmt: skip
    spread = {
        (each.name[26:], each.labels.get("le")): each.value for each in read["anime_push_latency_seconds"].samples
    }
    assert spread == {
        ("_bucket", "0.1"): 3, ("_bucket", "1.0"): 4, ("_bucket", "+Inf"): 5, ("_count", None): 5,
        ("_sum", None): pytest.approx(2.65),
    }  # fmt: skip


def test_what_is_not_declared_is_not_told() -> None:
    with pytest.raises(KeyError):
        exposition({"anime_nothing": 1})


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda each: each.name)
def test_names_say_their_kind(family: object) -> None:
    """Counters end in `_total` and nothing else does; times are in seconds."""
    assert isinstance(family, type(FAMILIES["anime_sockets"]))
    assert (family.kind == "counter") is family.name.endswith("_total")
    assert family.says.endswith(".")
