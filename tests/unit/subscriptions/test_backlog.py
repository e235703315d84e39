"""A line with an end."""

from __future__ import annotations

import pytest

from subscriptions.backlog import MAX_WAITING_BYTES, Backlog
from subscriptions.errors import TooMany


def test_first_in_first_out() -> None:
    line: Backlog[str] = Backlog(2, "TooMuch")
    line.put("a", 1)
    line.put("b", 1)
    assert (line.take(), line.take(), len(line)) == ("a", "b", 0)


def test_it_is_bounded_in_items_and_in_bytes() -> None:
    line: Backlog[str] = Backlog(2, "TooMuch")
    with pytest.raises(TooMany, match="TooMuch"):
        line.put("a", MAX_WAITING_BYTES + 1)
    line.put("a", MAX_WAITING_BYTES)
    with pytest.raises(TooMany):
        line.put("b", 1)
    line.put("b", 0)
    with pytest.raises(TooMany):
        line.put("c", 0)
    line.clear()
    line.put("d", MAX_WAITING_BYTES)
    assert repr(line) == f"<Backlog 1/2, {MAX_WAITING_BYTES} bytes>"
