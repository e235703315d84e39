"""A verdict is one line, and only a failure ends badly."""

from __future__ import annotations

import pytest

from server.doctor.verdict import Kind, Verdict, exit_status, line_of


def test_a_line_is_one_line() -> None:
    assert line_of("Redis", Verdict("failed", "it is\naway.", "Start it.")) == (
        "failed   Redis          it is away. Start it."
    )
    assert line_of("Redis", Verdict("ok", "it is there.")) == "ok       Redis          it is there."


@pytest.mark.parametrize(("kind", "expected"), [("ok", 0), ("warning", 0), ("skipped", 0), ("failed", 1)])
def test_only_a_failure_ends_badly(kind: Kind, expected: int) -> None:
    assert exit_status([Verdict("ok", ""), Verdict(kind, "")]) == expected
