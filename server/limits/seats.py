"""Seats: how many of something one owner holds at once, in this process.

Invariant: an owner who holds none takes no memory.
"""

from __future__ import annotations


class Seats:
    """At most `limit` for each owner; 0 is unlimited. Who sits stays, and the newest is turned away."""

    __slots__ = ("_limit", "_taken", "turned_away")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken: dict[str, int] = {}
        self.turned_away = 0

    def __repr__(self) -> str:
        return f"<Seats {sum(self._taken.values())} taken by {len(self._taken)}, at most {self._limit or 'any'} each>"

    def take(self, owner: str) -> bool:
        """Was there a seat? Then it must be left again."""
        taken = self._taken.get(owner, 0)
        if self._limit and taken >= self._limit:
            self.turned_away += 1
            return False
        self._taken[owner] = taken + 1
        return True

    def leave(self, owner: str) -> None:
        """Give one seat back."""
        left = self._taken.pop(owner) - 1
        if left:
            self._taken[owner] = left
