"""All tables of the product: importing this declares every one of them."""

from __future__ import annotations

from schema import billing, blobs, deliveries, images, moderation, system, users
from schema.document import TABLES
from schema.readset import WriteSet

DECLARED_IN = (blobs, images, users, billing, deliveries, moderation, system)

EVERYTHING = WriteSet(tables=frozenset(TABLES))
"""The write set of something of which nothing is known."""

__all__ = ["DECLARED_IN", "EVERYTHING", "TABLES"]
