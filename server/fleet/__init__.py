"""How the processes of one deployment help each other. Nothing is wrong where they cannot: docs/redis.md."""

from __future__ import annotations

from server.fleet.fleet import Fleet

__all__ = ["Fleet"]
