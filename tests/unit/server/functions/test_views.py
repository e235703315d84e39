"""What clients see of documents: all that is theirs, and of what is somebody else's only what everybody may know."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schema.billing import LedgerEntry
from schema.document import Document
from schema.images import Image
from schema.values import Id
from schema.wire import encode_value
from server.functions.views import (
    CreditMovement,
    PublicImage,
    SharedImage,
    failed_image,
    image_with_url,
    public_image,
    shared_image,
)

URL = "https://anime.example/api/storage/blob"
PUBLIC = {
    "_id", "_creationTime", "body", "url", "createdAt", "featuredAt", "isGenerated", "isFeatured", "isDisabledByAdmin",
    "contentType", "originalWidth", "originalHeight", "placeholderBlurDataUrl",
}  # fmt: skip
SHARED = PUBLIC | {"sharingEnabled", "shareExpiresAt", "generationStatus"}
PRIVATE = (
    "the owner", "the original", "why it failed", "why it was hidden", "who approved", "who rejected", "why rejected",
)  # fmt: skip
FULL = Image(
    id=Id("image"),
    creation_time=1.0,
    body=Id("blob"),
    created_at=2.0,
    user_id="the owner",
    is_generated=True,
    original_image_id=Id("the original"),
    content_type="image/webp",
    original_width=3,
    original_height=4,
    original_size_bytes=5,
    placeholder_blur_data_url="data:image/webp;base64,",
    generation_status="completed",
    generation_error="why it failed",
    generation_attempts=6,
    sharing_enabled=True,
    share_expires_at=7.0,
    is_featured=True,
    featured_at=8.0,
    is_disabled_by_admin=True,
    disabled_by_admin_at=9.0,
    disabled_by_admin_reason="why it was hidden",
    feature_requested_at=10.0,
    feature_approved_at=11.0,
    feature_approved_by="who approved",
    feature_rejected_at=12.0,
    feature_rejected_by="who rejected",
    feature_rejection_reason="why rejected",
)


def seen(view: object) -> dict[str, Any]:
    """A view as a client reads it."""
    fields: dict[str, Any] = json.loads(encode_value(view))
    return fields


def test_the_example_leaves_nothing_out() -> None:
    assert [name for name in Image.__struct_fields__ if getattr(FULL, name) is None] == []


def test_an_owner_sees_the_whole_document_and_where_its_file_is() -> None:
    assert seen(image_with_url(FULL, URL)) == {**seen(FULL), "url": URL}


@pytest.mark.parametrize(
    ("view", "fields"), [(public_image(FULL, URL), PUBLIC), (shared_image(FULL, URL), SHARED)], ids=["public", "shared"]
)
def test_others_see_no_more_than_they_may(view: PublicImage | SharedImage, fields: set[str]) -> None:
    assert seen(view).keys() == fields
    assert seen(view)["url"] == URL
    assert [word for word in PRIVATE if word in json.dumps(seen(view))] == []
    assert all(value == seen(FULL)[name] for name, value in seen(view).items() if name != "url")


@pytest.mark.parametrize("view", [PublicImage, SharedImage])
def test_a_view_is_a_document_of_its_own(view: type[Document]) -> None:
    assert not issubclass(view, Image), "or a field added to images would be shown to everybody"


def test_what_is_absent_stays_absent() -> None:
    bare = Image(id=Id("image"), creation_time=1.0, body=Id("blob"), created_at=2.0)
    assert None not in seen(public_image(bare, URL)).values()
    assert None not in seen(shared_image(bare, URL)).values()
    assert None not in seen(image_with_url(bare, URL)).values()


def test_a_failure_always_has_a_sentence() -> None:
    assert seen(failed_image(FULL, URL)) == {
        "_id": "image",
        "_creationTime": 1.0,
        "createdAt": 2.0,
        "generationError": "why it failed",
        "url": URL,
        "placeholderBlurDataUrl": "data:image/webp;base64,",
    }
    old = Image(id=Id("image"), creation_time=1.0, body=Id("blob"), created_at=2.0, generation_status="failed")
    assert failed_image(old, URL).generation_error == "This photo could not be drawn."


def test_a_movement_keeps_its_key_to_itself() -> None:
    entry = LedgerEntry(
        id=Id("entry"), creation_time=1.0, user_id="the owner", kind="spend", amount=-1, balance_after=9,
        key="generation:job", created_at=2.0, image_id=Id("image"), order_id="order",
    )  # fmt: skip
    assert seen(CreditMovement.of(entry)) == {
        "kind": "spend", "amount": -1, "balanceAfter": 9, "createdAt": 2.0, "imageId": "image", "orderId": "order",
    }  # fmt: skip
