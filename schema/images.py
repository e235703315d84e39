"""Pictures: the originals that members upload and the results that are drawn from them."""

from __future__ import annotations

from typing import Literal, TypeAlias

from schema.blobs import Blob
from schema.document import NEW, Document, index, table
from schema.values import Id, Millis

GenerationStatus: TypeAlias = Literal["pending", "processing", "completed", "failed"]


@table("images")
class Image(Document, frozen=True, kw_only=True):
    """An original (`is_generated` false) or a result, which names its original. `user_id` is a Clerk subject."""

    id: Id[Image] = NEW
    body: Id[Blob]
    created_at: Millis
    user_id: str | None = None
    is_generated: bool = False
    original_image_id: Id[Image] | None = None
    content_type: str | None = None
    original_width: int | None = None
    original_height: int | None = None
    original_size_bytes: int | None = None
    placeholder_blur_data_url: str | None = None
    generation_status: GenerationStatus | None = None
    generation_error: str | None = None
    generation_attempts: int | None = None
    sharing_enabled: bool | None = None
    share_expires_at: Millis | None = None
    is_featured: bool = False
    featured_at: Millis | None = None
    is_disabled_by_admin: bool = False
    disabled_by_admin_at: Millis | None = None
    disabled_by_admin_reason: str | None = None
    feature_requested_at: Millis | None = None
    feature_approved_at: Millis | None = None
    feature_approved_by: str | None = None
    feature_rejected_at: Millis | None = None
    feature_rejected_by: str | None = None
    feature_rejection_reason: str | None = None

    by_is_generated = index("is_generated", name="by_is_generated")
    by_original = index("original_image_id", unique_when=("is_generated", True))
    by_generation_status = index("generation_status", name="by_generation_status")
    by_is_generated_and_status = index("is_generated", "generation_status", name="by_is_generated_and_status")
    by_user = index("user_id")
    by_user_and_created = index("user_id", "created_at")
    by_user_and_kind = index("user_id", "is_generated", "created_at")
    by_user_and_status = index("user_id", "generation_status")
    by_featured = index("is_featured", "is_disabled_by_admin", "featured_at")
