"""The schema against the data model that the product's documentation promises: every field, every index."""

from __future__ import annotations

import pytest

from schema.tables import TABLES

PROMISED: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "images": (
        "_id body createdAt isGenerated originalImageId contentType originalWidth originalHeight originalSizeBytes "
        "placeholderBlurDataUrl generationStatus generationError generationAttempts sharingEnabled shareExpiresAt userId "
        "isFeatured featuredAt isDisabledByAdmin disabledByAdminAt disabledByAdminReason featureRequestedAt "
        "featureApprovedAt featureApprovedBy featureRejectedAt featureRejectedBy featureRejectionReason",
        (
            ("by_is_generated", "isGenerated"),
            ("by_originalImageId", "originalImageId"),
            ("by_generation_status", "generationStatus"),
            ("by_is_generated_and_status", "isGenerated generationStatus"),
            ("by_userId", "userId"),
            ("by_userId_and_createdAt", "userId createdAt"),
            ("by_userId_and_isGenerated_and_createdAt", "userId isGenerated createdAt"),
            ("by_userId_and_generationStatus", "userId generationStatus"),
            ("by_isFeatured_and_isDisabledByAdmin_and_featuredAt", "isFeatured isDisabledByAdmin featuredAt"),
        ),
    ),
    "users": (
        "_id userId credits polarCustomerId createdAt updatedAt",
        (("by_userId", "userId"), ("by_polarCustomerId", "polarCustomerId")),
    ),
    "admins": ("_id userId createdAt", (("by_userId", "userId"),)),
    "payments": (
        "_id orderId userId amountCents creditsGranted status createdAt",
        (("by_orderId", "orderId"), ("by_userId", "userId")),
    ),
    "billingSettings": (
        "_id packPriceCents creditsPerPack refundOnFailure freeTrialCredits updatedAt updatedBy",
        (),
    ),
    "checkoutSessions": (
        "_id userId status clientSecret url checkoutId error createdAt completedAt",
        (("by_userId", "userId"), ("by_status", "status")),
    ),
    "_storage": ("_id contentType size", ()),
}

ONCE = {"users": "by_userId", "admins": "by_userId", "payments": "by_orderId"}


@pytest.mark.parametrize("name", PROMISED)
def test_every_field_and_index_of_the_data_model_is_declared(name: str) -> None:
    fields, indexes = PROMISED[name]
    table = TABLES[name]
    assert set(fields.split()) <= set(table.document.__struct_encode_fields__)
    assert {"_id", "_creationTime"} <= set(table.document.__struct_encode_fields__)
    declared = {each.name: " ".join(each.wire_fields) for each in table.indexes.values()}
    assert dict(indexes).items() <= declared.items()


@pytest.mark.parametrize(("name", "index"), ONCE.items())
def test_what_must_be_unique_is(name: str, index: str) -> None:
    assert TABLES[name].indexes[index].unique
