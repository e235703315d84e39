"""Who a verified token says the caller is; nobody is `None`.

Invariant: two equal identities may be answered alike. Whatever differs between two tokens of one person (when they were
issued, when they end) is therefore outside `Identity`.
"""

from __future__ import annotations

import msgspec

from schema.values import Millis


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A person as their issuer describes them. `impersonated_by` is the operator who signed in as them, if one did."""

    subject: str
    issuer: str
    name: str | None = None
    email: str | None = None
    impersonated_by: str | None = None

    @property
    def token_identifier(self) -> str:
        """The person's name among all issuers, as Convex spells it."""
        return f"{self.issuer}|{self.subject}"


class VerifiedToken(msgspec.Struct, frozen=True):
    """A token found good. It is good at a moment exactly when that moment is before `expires_at`."""

    identity: Identity
    expires_at: Millis
