"""The product's functions: what clients may ask and do, and which name each module publishes under."""

from __future__ import annotations

from server.functions import (
    fleet,
    gallery,
    images,
    members,
    moderation,
    operations,
    parked_orders,
    payments,
    settings,
    sharing,
    users,
    webhook_health,
)
from server.registry import Registry

PUBLISHED = (
    ("images", images),
    ("images", gallery),
    ("images", sharing),
    ("users", users),
    ("payments", payments),
    ("admin", moderation),
    ("admin", settings),
    ("admin", operations),
    ("admin", members),
    ("admin", parked_orders),
    ("admin", webhook_health),
    ("admin", fleet),
)


def published() -> Registry:
    """All public functions, by path."""
    registry = Registry()
    for name, module in PUBLISHED:
        registry.publish(name, module)
    return registry
