"""The product's functions: what clients may ask and do, and which name each module publishes under."""

from __future__ import annotations

from server.functions import gallery, images, moderation, operations, settings, sharing, users
from server.registry import Registry

PUBLISHED = (
    ("images", images),
    ("images", gallery),
    ("images", sharing),
    ("users", users),
    ("admin", moderation),
    ("admin", settings),
    ("admin", operations),
)


def published() -> Registry:
    """All public functions, by path."""
    registry = Registry()
    for name, module in PUBLISHED:
        registry.publish(name, module)
    return registry
