"""A push: one text message for any number of sockets, brought into each form that a line needs at most once.

Invariant: a form is made by whoever knows the line; the same bytes then serve every line that takes this form.
"""

from __future__ import annotations


class Push:
    """A message's text, and its finished forms by whatever distinguishes them: the deflate window agreed on, or none."""

    __slots__ = ("forms", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.forms: dict[int | None, bytes] = {}

    def __repr__(self) -> str:
        return f"<Push {len(self.text)} bytes, {len(self.forms)} forms>"
