"""Moderation: whether featuring needs approval, and who did what to which document."""

from __future__ import annotations

from schema.document import NEW, Document, index, table
from schema.values import Id, Millis


@table("moderationSettings")
class ModerationSettings(Document, frozen=True, kw_only=True):
    """Is approval needed before an image shows in public? At most one row."""

    id: Id[ModerationSettings] = NEW
    require_approval: bool = False
    updated_at: Millis | None = None
    updated_by: str | None = None


@table("auditLog")
class AuditEntry(Document, frozen=True, kw_only=True):
    """One deed of an administrator, written in the transaction that did it."""

    id: Id[AuditEntry] = NEW
    actor: str
    action: str
    target: str
    created_at: Millis
    reason: str | None = None

    by_created = index("created_at")


MODERATION_SETTINGS_ID: Id[ModerationSettings] = Id("moderation")
"""The settings' one row."""
