"""The shapes that clients see: documents with what they need to show them, and nothing that is not theirs to read."""

from __future__ import annotations

import msgspec

from schema.billing import LedgerEntry, LedgerKind
from schema.blobs import Blob
from schema.document import Document
from schema.images import GenerationStatus, Image
from schema.values import Id, Millis, camel


class ImageWithUrl(Image, frozen=True, kw_only=True):
    """An image as its owner sees it: the document, and where its file is."""

    url: str


class PublicImage(Document, frozen=True, kw_only=True):
    """A featured image as everybody sees it: who made it stays private."""

    id: Id[Image]
    body: Id[Blob]
    url: str
    created_at: Millis
    featured_at: Millis | None
    is_generated: bool
    is_featured: bool
    is_disabled_by_admin: bool
    content_type: str | None
    original_width: int | None
    original_height: int | None
    placeholder_blur_data_url: str | None


class SharedImage(PublicImage, frozen=True, kw_only=True):
    """An image as those see it who were given its link."""

    sharing_enabled: bool | None
    share_expires_at: Millis | None
    generation_status: GenerationStatus | None


class FailedImage(Document, frozen=True, kw_only=True):
    """An original that could not be drawn, and why."""

    id: Id[Image]
    created_at: Millis
    generation_error: str
    url: str | None = None
    placeholder_blur_data_url: str | None = None


class UserCredits(msgspec.Struct, frozen=True, rename=camel):
    """A member's balance, and whether the free trial still runs."""

    credits: int
    has_free_trial: bool


class CreditMovement(msgspec.Struct, frozen=True, kw_only=True, rename=camel):
    """One line of a member's credit history."""

    kind: LedgerKind
    amount: int
    balance_after: int
    created_at: Millis
    image_id: Id[Image] | None = None
    order_id: str | None = None

    @classmethod
    def of(cls, entry: LedgerEntry) -> CreditMovement:
        """The ledger entry without what is internal to it."""
        return cls(
            kind=entry.kind,
            amount=entry.amount,
            balance_after=entry.balance_after,
            created_at=entry.created_at,
            image_id=entry.image_id,
            order_id=entry.order_id,
        )


class Deletion(msgspec.Struct, frozen=True, rename=camel):
    """What deleting an image removed. `deleted_generated` counts the results that went with their original."""

    deleted_total: int
    deleted_generated: int
    acted_as_admin: bool


def image_with_url(image: Image, url: str) -> ImageWithUrl:
    """The image as its owner sees it."""
    return ImageWithUrl(**msgspec.structs.asdict(image), url=url)


def public_image(image: Image, url: str) -> PublicImage:
    """The image as everybody sees it."""
    shown = {name: getattr(image, name) for name in PublicImage.__struct_fields__ if name != "url"}
    return PublicImage(**shown, url=url)


def shared_image(image: Image, url: str) -> SharedImage:
    """The image as those see it who have its link."""
    shown = {name: getattr(image, name) for name in SharedImage.__struct_fields__ if name != "url"}
    return SharedImage(**shown, url=url)


def failed_image(image: Image, url: str) -> FailedImage:
    """The failure as its owner sees it."""
    return FailedImage(
        id=image.id,
        creation_time=image.creation_time,
        created_at=image.created_at,
        generation_error=image.generation_error or "This photo could not be drawn.",
        url=url,
        placeholder_blur_data_url=image.placeholder_blur_data_url,
    )
