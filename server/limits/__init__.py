"""How much of something one person or one address may have: rates, and things open at once. `docs/limits.md` lists them all."""

from __future__ import annotations

from server.limits.bounds import Bounds, read_bounds
from server.limits.rates import Rate, per_member, per_minute
from server.limits.seats import Seats
from server.limits.spending import Limits

__all__ = ["Bounds", "Limits", "Rate", "Seats", "per_member", "per_minute", "read_bounds"]
