"""People: members with their balance, and those among them who moderate."""

from __future__ import annotations

from typing import Annotated

import msgspec

from schema.document import NEW, Document, index, table
from schema.values import Id, Millis


@table("users")
class User(Document, frozen=True, kw_only=True):
    """A member. `credits` is the fast balance; the ledger is its proof.

    `credits_owed` is what refunds could not take back because the balance was too low; later grants settle it.
    """

    id: Id[User] = NEW
    user_id: str
    credits: Annotated[int, msgspec.Meta(ge=0)]
    created_at: Millis
    updated_at: Millis
    polar_customer_id: str | None = None
    credits_owed: Annotated[int, msgspec.Meta(ge=0)] | None = None
    email: str | None = None
    name: str | None = None

    by_user_id = index("user_id", unique=True)
    by_polar_customer = index("polar_customer_id")
    by_email = index("email")
    by_created = index("created_at")


@table("admins")
class AdminRole(Document, frozen=True, kw_only=True):
    """Holding this row is being an administrator. `confirmed_at` is where those who revoke each other meet."""

    id: Id[AdminRole] = NEW
    user_id: str
    created_at: Millis
    confirmed_at: Millis | None = None

    by_user_id = index("user_id", unique=True)
