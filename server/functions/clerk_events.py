"""What Clerk's webhooks do: newcomers get their account with name and address, who is gone there is erased here.

Events come in any order and more than once: somebody whose erasure was asked for is not made anew by what comes late.
"""

from __future__ import annotations

import msgspec

from schema.deliveries import Delivery
from schema.reader import Reader
from schema.users import AdminRole
from schema.values import Id
from schema.writer import Writer
from server.context import is_admin
from server.functions import leaving, ledger
from server.functions.deliveries import Applied, once, subject_of

PERSON_EVENTS = frozenset({"user.created", "user.updated"})
DELETED = "user.deleted"
MAX_SUBJECT_CHARS = 255
MAX_TEXT_CHARS = 320


class ClerkEvent(msgspec.Struct, frozen=True):
    """A webhook's envelope."""

    type: str
    data: msgspec.Raw = msgspec.Raw(b"{}")


class Verification(msgspec.Struct, frozen=True):
    """Whether somebody has shown that an address is theirs."""

    status: str | None = None


class EmailAddress(msgspec.Struct, frozen=True):
    """One of a person's addresses."""

    id: str
    email_address: str
    verification: Verification | None = None


class Person(msgspec.Struct, frozen=True):
    """A person in Clerk's words, as far as we read them."""

    id: str
    first_name: str | None = None
    last_name: str | None = None
    email_addresses: tuple[EmailAddress, ...] = ()
    primary_email_address_id: str | None = None

    @property
    def name(self) -> str | None:
        """What they are called."""
        return _text(" ".join(filter(None, (self.first_name, self.last_name))))

    @property
    def email(self) -> str | None:
        """The address they chose first, if it is shown to be theirs: another's may be anybody's."""
        for each in self.email_addresses:
            if each.id == self.primary_email_address_id and each.verification is not None:
                return _text(each.email_address) if each.verification.status == "verified" else None
        return None


async def upsert_from_clerk_webhook(db: Writer, row_id: Id[Delivery], event: ClerkEvent) -> Applied:
    """Apply one event, once."""

    async def apply() -> Applied:
        if event.type != DELETED and event.type not in PERSON_EVENTS:
            return Applied(subject=subject_of(event.data), outcome="ignored")
        try:
            person = msgspec.json.decode(event.data, type=Person)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Applied(subject=subject_of(event.data), outcome="ignored", flaw=str(error))
        if not 0 < len(person.id) <= MAX_SUBJECT_CHARS:
            return Applied(subject=person.id, outcome="ignored", flaw="the person's id is empty or too long")
        return await (_erase(db, person.id) if event.type == DELETED else _enrich(db, person))

    return await once(db, row_id, "clerk", event.type, apply)


async def _erase(db: Writer, subject: str) -> Applied:
    if await leaving.is_leaving(db, subject):
        return Applied(subject=subject, outcome="skipped", skipped=True)
    await leaving.begin(db, subject)
    warning = "the last administrator is gone" if await _is_last_admin(db, subject) else None
    return Applied(subject=subject, outcome="applied", warning=warning)


async def _enrich(db: Writer, person: Person) -> Applied:
    user = await ledger.find_user(db, person.id)
    gone = leaving.is_leaving if user is not None else leaving.has_ever_left
    if await gone(db, person.id):
        return Applied(subject=person.id, outcome="skipped", skipped=True)
    user = user or await ledger.ensure_user(db, person.id)
    if (user.email, user.name) == (person.email, person.name):
        return Applied(subject=person.id, outcome="applied")
    await db.patch(user, email=person.email, name=person.name, updated_at=db.now)
    return Applied(subject=person.id, outcome="applied")


async def _is_last_admin(db: Reader, subject: str) -> bool:
    return await is_admin(db, subject) and len(await db.take(AdminRole.by_user_id.all(), 2)) == 1


def _text(text: str) -> str | None:
    """People choose their names: what cannot be shown on a line is left out."""
    text = text.strip()
    return text if 0 < len(text) <= MAX_TEXT_CHARS and text.isprintable() else None
