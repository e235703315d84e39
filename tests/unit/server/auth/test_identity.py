"""Identities are equal exactly when their bearers may be answered alike."""

from __future__ import annotations

import pytest

from server.auth.identity import Identity, VerifiedToken

ANA = Identity(subject="user_ana", issuer="https://issuer.test", name="Ana")


def test_the_token_identifier_is_issuer_and_subject() -> None:
    assert ANA.token_identifier == "https://issuer.test|user_ana"


def test_two_tokens_of_one_person_carry_equal_identities() -> None:
    sooner, later = VerifiedToken(ANA, 1.0), VerifiedToken(Identity(**_fields(ANA)), 2.0)
    assert sooner.identity == later.identity
    assert hash(sooner.identity) == hash(later.identity)
    assert sooner != later


@pytest.mark.parametrize("field", ["subject", "issuer", "name", "email", "impersonated_by"])
def test_everything_a_query_can_read_counts(field: str) -> None:
    assert Identity(**{**_fields(ANA), field: "other"}) != ANA


def test_an_identity_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        ANA.subject = "user_bob"  # type: ignore[misc]


def _fields(identity: Identity) -> dict[str, str]:
    return {name: value for name in identity.__struct_fields__ if (value := getattr(identity, name)) is not None}
