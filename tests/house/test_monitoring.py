"""`docs/monitoring`: rules and a dashboard that ask for what we count, in expressions that hold together."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from server.families import FAMILIES
from tests.house.test_imports import ROOT

FOLDER = ROOT / "docs" / "monitoring"
ALERTS = (FOLDER / "alerts.yml").read_text()
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "grafana-dashboard.json").read_text())
FUNCTIONS = {
    "avg_over_time", "deriv", "histogram_quantile", "increase", "max", "min", "rate", "sum", "topk",
}  # fmt: skip
WORDS = {"by"}
SPREAD = ("_bucket", "_sum", "_count")
TOKEN = re.compile(
    r'"[^"]*"|\$\w+|[a-zA-Z_]\w*|\d+(?:\.\d+)?[smhd]?|=~|!=|<=|>=|==|[-+*/<>=(){}\[\],]|\s+|(?P<unknown>.)'
)


def expressions() -> Iterator[tuple[str, str]]:
    """Where each stands, and what it says."""
    yield from re.findall(r"- alert: (\w+)\n\s+expr: (.*)\n", ALERTS)
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", target["expr"]


def flaws(expr: str) -> list[str]:
    """What is wrong with an expression, as far as one can see without Prometheus' own parser."""
    found: list[str] = []
    open_ones: list[str] = []
    tokens = [match for match in TOKEN.finditer(expr) if not match[0].isspace()]
    for place, match in enumerate(tokens):
        word, following = match[0], tokens[place + 1][0] if place + 1 < len(tokens) else ""
        if match["unknown"]:
            found.append(f"{word} is nothing")
        elif word in "([{":
            open_ones.append(word)
        elif word in ")]}":
            if not open_ones or open_ones.pop() + word not in ("()", "[]", "{}"):
                found.append(f"{word} closes nothing")
        elif word.startswith("anime_"):
            family = next((word.removesuffix(end) for end in SPREAD if word.endswith(end)), word)
            kind = FAMILIES[family].kind if family in FAMILIES else None
            if kind is None or (kind == "histogram") is (family == word):
                found.append(f"{word} is not counted")
        elif following == "(" and word[0].isalpha() and word not in FUNCTIONS | WORDS:
            found.append(f"{word} is no function that is used here")
    return found + [f"{each} is never closed" for each in open_ones]


@pytest.mark.parametrize(("place", "expr"), list(expressions()))
def test_an_expression_asks_for_what_is_counted(place: str, expr: str) -> None:
    assert "anime_" in expr
    assert flaws(expr) == [], place


@pytest.mark.parametrize(
    "expr",
    [
        "sum(anime_nothing)",
        "sum(anime_sockets",
        "summ(anime_sockets)",
        "anime_push_latency_seconds > 1",
        "anime_sockets]",
    ],
)
def test_what_does_not_hold_together_is_seen(expr: str) -> None:
    assert flaws(expr)


def test_every_rule_was_read() -> None:
    assert len(re.findall(r"expr:", ALERTS)) == len(re.findall(r"- alert: (\w+)\n\s+expr: (.*)\n", ALERTS))


def test_every_alarm_says_what_to_do_where_it_can_be_read() -> None:
    guide = (ROOT / "docs" / "operations.md").read_text()
    anchors = {
        re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", guide, re.MULTILINE)
    }
    named = re.findall(r"runbook: docs/operations\.md#(\S+)", ALERTS)
    assert named
    assert [each for each in named if each not in anchors] == []


def test_the_dashboard_shows_everything_that_is_counted() -> None:
    shown = "".join(expr for place, expr in expressions())
    assert [name for name in FAMILIES if name not in shown] == []


def test_no_two_panels_are_in_the_same_place() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        mine = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not mine & taken, panel["title"]
        assert max(x for x, _ in mine) < 24
        taken |= mine
