"""What a function is given: who calls, the database at one moment, the clock, files, jobs.

The type of the context is the authorisation: `Query[Member]` runs only for the signed-in and `ctx.me` is a `Member` for the
type checker too. Looking at the caller is recorded, so an answer that never does is shared by everybody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from jobs.queue import JobSpec, enqueue
from schema.blobs import Blob
from schema.errors import NotFound
from schema.images import Image
from schema.moderation import AuditEntry
from schema.reader import Reader
from schema.system import Job
from schema.users import AdminRole
from schema.values import Id, Millis, minutes
from schema.writer import Writer
from server.auth.grants import Grants
from server.auth.identity import Identity
from server.errors import Forbidden, Invalid, Unauthenticated
from server.ids import capability_id
from server.return_addresses import ReturnAddresses
from server.visibility import public_until

MINUTE = minutes(1)
SUBJECT = "subject"
"""The one facet of a caller that functions can look at; administration is read from its table."""


class Anyone:
    """Whoever calls. Asking who it is makes the answer theirs alone."""

    __slots__ = ("_facets", "_identity")

    def __init__(self, identity: Identity | None, facets: set[str]) -> None:
        self._identity, self._facets = identity, facets

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'signed in' if self._identity else 'anonymous'}>"

    @property
    def signed_in_subject(self) -> str | None:
        """The caller's subject, or None for a visitor."""
        self._facets.add(SUBJECT)
        return self._identity.subject if self._identity else None


class Member(Anyone):
    """A signed-in caller."""

    __slots__ = ()

    @property
    def subject(self) -> str:
        """Clerk's id of the person: the value stored as `userId` everywhere."""
        subject = self.signed_in_subject
        if subject is None:
            raise Unauthenticated
        return subject

    @property
    def is_impersonated(self) -> bool:
        """Is it an operator who signed in as this person?"""
        self._facets.add(SUBJECT)
        return self._identity is not None and self._identity.impersonated_by is not None


class Admin(Member):
    """A signed-in caller who holds a row in `admins`, read in the same snapshot or transaction."""

    __slots__ = ()


T = TypeVar("T")
W = TypeVar("W", bound=Anyone, covariant=True)


async def authorise(kind: type[Anyone], identity: Identity | None, facets: set[str], db: Reader) -> Anyone:
    """The caller as the function declares it. Raises `Unauthenticated` or `Forbidden`."""
    caller = kind(identity, facets)
    if isinstance(caller, Admin):
        if not await is_admin(db, caller.subject):
            raise Forbidden("Only administrators can do this.")
        if caller.is_impersonated:
            raise Forbidden("Nobody can administrate in somebody else's name.")
    if isinstance(caller, Member):
        _ = caller.subject
    return caller


async def is_admin(db: Reader, subject: str) -> bool:
    """Does this person hold the role, at this moment?"""
    return await db.exists(AdminRole.by_user_id.eq(user_id=subject))


class QueryClock:
    """Time for queries: it can only be compared with, and comparing makes the answer refresh itself at that moment."""

    __slots__ = ("_db", "_now")

    def __init__(self, now: Millis, db: Reader) -> None:
        self._now, self._db = now, db

    def before(self, moment: Millis) -> bool:
        """Is it still before `moment`?"""
        if self._now < moment:
            self._db.expire_at(moment)
            return True
        return False

    def minute(self) -> Millis:
        """When the present minute began; the answer refreshes itself when the next one does."""
        began = self._now - self._now % MINUTE
        self._db.expire_at(began + MINUTE)
        return began


class Clock:
    """Time for mutations: the moment of the call."""

    __slots__ = ("_now",)

    def __init__(self, now: Millis) -> None:
        self._now = now

    def now(self) -> Millis:
        """Milliseconds since the epoch, the same for the whole call."""
        return self._now


class Urls:
    """Addresses of files as clients use them; `returns` are the pages that a payment may lead back to."""

    __slots__ = ("_grants", "_public_url", "returns")

    def __init__(self, public_url: str, grants: Grants, allowed_origins: Sequence[str] = ()) -> None:
        self._public_url, self._grants = public_url, grants
        self.returns = ReturnAddresses(public_url, allowed_origins)

    def file(self, blob_id: Id[Blob]) -> str:
        """Where a file is read."""
        return f"{self._public_url}/api/storage/{blob_id}"

    def own_file(self, image: Image) -> str:
        """Where an image's owner reads its file, also when strangers may not or soon will not."""
        url = self.file(image.body)
        return url if public_until(image) is None else f"{url}?key={self._grants.file_key(image.body)}"

    def upload(self, subject: str, now: Millis) -> str:
        """Where one file may be uploaded, once, within the hour, by this person."""
        return f"{self._public_url}/api/storage/upload?token={self._grants.upload_token(subject, now, capability_id())}"


class Query(Generic[W]):
    """A read-only call at one snapshot."""

    __slots__ = ("clock", "db", "me", "urls")

    def __init__(self, me: W, db: Reader, now: Millis, urls: Urls) -> None:
        self.me, self.db, self.urls = me, db, urls
        self.clock = QueryClock(now, db)


class Mutation(Generic[W]):
    """A call inside one transaction."""

    __slots__ = ("clock", "db", "me", "urls")

    def __init__(self, me: W, db: Writer, urls: Urls) -> None:
        self.me, self.db, self.urls = me, db, urls
        self.clock = Clock(db.now)

    async def claim_upload(self, storage_id: Id[Blob], owner: str) -> Blob:
        """Take an uploaded file into use: once, and only by who uploaded it."""
        try:
            blob = await self.db.need(Blob, storage_id)
        except NotFound:
            raise Invalid("storageId", "there is no such upload; please upload the photo again") from None
        if blob.kind != "upload" or blob.owner != owner:
            raise Invalid("storageId", "there is no such upload; please upload the photo again")
        if blob.claimed_at is not None:
            raise Invalid("storageId", "this upload was used already; please upload the photo again")
        return await self.db.patch(blob, claimed_at=self.clock.now())

    async def enqueue(self, job: JobSpec, subject: str, owner: str | None = None) -> Job:
        """Write work into the outbox: it exists if and only if this transaction commits."""
        return await enqueue(self.db, job, subject, owner=owner)

    async def audit(self, actor: str, action: str, target: str, reason: str | None = None) -> None:
        """Record an administrator's deed in the transaction that does it."""
        await self.db.insert(
            AuditEntry(actor=actor, action=action, target=target, created_at=self.clock.now(), reason=reason)
        )


class Runs(Protocol):
    """Runs functions on behalf of an action's caller."""

    async def run(
        self, identity: Identity | None, handler: Callable[..., Awaitable[T]], arguments: dict[str, Any]
    ) -> T:
        """The function's result, from its own snapshot or transaction."""
        ...


class Action(Generic[W]):
    """A call that may reach the outside world. It holds no transaction and touches data through queries and mutations."""

    __slots__ = ("_identity", "_runs", "me")

    def __init__(self, me: W, identity: Identity | None, runs: Runs) -> None:
        self.me, self._identity, self._runs = me, identity, runs

    async def run(self, handler: Callable[..., Awaitable[T]], **arguments: Any) -> T:
        """Run a query or a mutation as the action's own caller."""
        return await self._runs.run(self._identity, handler, arguments)
