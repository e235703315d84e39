"""What functions are given: callers that tell who they are when asked, a clock that is remembered, uploads that are used once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from pymongo import AsyncMongoClient

from schema.blobs import Blob
from schema.moderation import AuditEntry
from schema.system import Job
from schema.users import AdminRole
from schema.values import Id
from schema.writer import Writer
from server.auth.grants import Grants, SignedCursors
from server.auth.identity import Identity
from server.context import SUBJECT, Action, Admin, Anyone, Clock, Member, Mutation, Query, QueryClock, Urls, authorise
from server.database import Database
from server.errors import Forbidden, Invalid, Unauthenticated
from server.executor import facet
from server.store.mongo import MongoStore
from server.store.setup import set_up
from server.work import GENERATE_IMAGE

T = TypeVar("T")

NOW = 1_800_000_000_000.0
KEY = b"k" * 32
ANA = Identity(subject="ana", issuer="https://id.example")
URLS = Urls("https://anime.example", Grants(KEY))


@pytest.fixture(scope="module")
async def database(mongod_uri: str) -> AsyncIterator[Database]:
    async with AsyncMongoClient[dict[str, Any]](mongod_uri) as client:
        store = MongoStore(client, f"context_{secrets.token_hex(4)}")
        await set_up(store.database)
        yield Database(store, SignedCursors(KEY), lambda: NOW)
        await client.drop_database(store.database.name)


async def mutating(database: Database, work: Callable[[Mutation[Member]], Awaitable[T]]) -> T:
    async def inside(db: Writer) -> T:
        return await work(Mutation(Member(ANA, set()), db, URLS))

    return (await database.transact(inside))[0]


def upload(owner: str = "ana", kind: Any = "upload") -> Blob:
    return Blob(
        id=Id(f"blob{secrets.token_hex(8)}"),
        kind=kind,
        owner=owner,
        content_type="image/jpeg",
        size=1,
        sha256="",
        width=1,
        height=1,
        placeholder="",
        uploaded_size=1,
        uploaded_content_type="image/jpeg",
        created_at=NOW,
        grant=secrets.token_hex(8),
    )


def test_looking_at_the_caller_is_recorded_and_nothing_else_is() -> None:
    facets: set[str] = set()
    caller = Anyone(ANA, facets)
    assert repr(caller) == "<Anyone signed in>"
    assert facets == set()
    assert caller.signed_in_subject == "ana"
    assert facets == {SUBJECT}
    assert Anyone(None, set()).signed_in_subject is None
    assert "ana" not in repr(caller)


def test_a_member_has_a_subject_or_is_none() -> None:
    assert Member(ANA, set()).subject == "ana"
    facets: set[str] = set()
    with pytest.raises(Unauthenticated):
        _ = Member(None, facets).subject
    assert facets == {SUBJECT}


async def test_the_declared_caller_is_the_authorisation(database: Database) -> None:
    db = await database.newest()
    facets: set[str] = set()
    assert type(await authorise(Anyone, None, facets, db)) is Anyone
    assert (facets, db.read_set().ranges) == (set(), ())
    for kind in (Member, Admin):
        with pytest.raises(Unauthenticated):
            await authorise(kind, None, facets, db)
    assert isinstance(await authorise(Member, ANA, facets, db), Member)
    assert (facets, db.read_set().ranges) == ({SUBJECT}, ())
    with pytest.raises(Forbidden, match="Only administrators"):
        await authorise(Admin, ANA, facets, db)
    assert len(db.read_set().ranges) == 1  # losing or winning the role runs the query again

    await mutating(database, lambda ctx: ctx.db.insert(AdminRole(user_id="ana", created_at=NOW)))
    assert type(await authorise(Admin, ANA, facets, await database.newest())) is Admin
    operator = msgspec.structs.replace(ANA, impersonated_by="root")
    with pytest.raises(Forbidden, match="somebody else's name"):
        await authorise(Admin, operator, facets, await database.newest())
    assert facet(operator, SUBJECT) != facet(ANA, SUBJECT)  # so they never share an answer


async def test_comparing_with_the_clock_makes_an_answer_refresh_itself(database: Database) -> None:
    db = await database.newest()
    clock = QueryClock(NOW, db)
    assert not clock.before(NOW - 1)
    assert not clock.before(NOW)
    assert db.read_set().deadline is None
    assert clock.before(NOW + 200)
    assert clock.before(NOW + 100)
    assert clock.before(NOW + 300)
    assert db.read_set().deadline == NOW + 100
    assert Query(Anyone(None, set()), db, NOW, URLS).clock.before(NOW + 1)
    assert Clock(NOW).now() == NOW


def test_addresses_are_those_of_the_public() -> None:
    assert URLS.file(Id("abc")) == "https://anime.example/api/storage/abc"
    address = urlsplit(URLS.upload("ana", NOW))
    assert (address.netloc, address.path) == ("anime.example", "/api/storage/upload")
    (token,) = parse_qs(address.query)["token"]
    assert Grants(KEY).open_upload(token, NOW).subject == "ana"
    assert URLS.upload("ana", NOW) != URLS.upload("ana", NOW)


async def test_an_upload_is_claimed_once_and_by_its_owner(database: Database) -> None:
    mine, bens, result = upload(), upload(owner="ben"), upload(kind="result")

    async def store(ctx: Mutation[Member]) -> None:
        for each in (mine, bens, result):
            await ctx.db.insert(each)

    await mutating(database, store)
    for storage_id in (bens.id, result.id, "nothing"):
        with pytest.raises(Invalid, match="storageId: there is no such upload"):
            await mutating(database, partial(Mutation.claim_upload, storage_id=Id[Blob](storage_id), owner="ana"))
    assert (await mutating(database, lambda ctx: ctx.claim_upload(mine.id, "ana"))).claimed_at == NOW
    with pytest.raises(Invalid, match="storageId: this upload was used already"):
        await mutating(database, lambda ctx: ctx.claim_upload(mine.id, "ana"))


async def test_of_two_claims_at_once_one_wins(database: Database) -> None:
    photo = await mutating(database, lambda ctx: ctx.db.insert(upload()))
    claims = [mutating(database, lambda ctx: ctx.claim_upload(photo.id, "ana")) for _ in range(5)]
    outcomes = await asyncio.gather(*claims, return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["Blob", *["Invalid"] * 4]


async def test_work_and_deeds_exist_only_if_the_transaction_commits(database: Database) -> None:
    async def changes_its_mind(ctx: Mutation[Member]) -> None:
        await ctx.enqueue(GENERATE_IMAGE, "subject of nothing")
        await ctx.audit("ana", "image.deleted", Id("target of nothing"))
        raise Forbidden

    async def means_it(ctx: Mutation[Member]) -> Job:
        await ctx.audit("ana", "image.deleted", Id("target"), reason="Rude.")
        return await ctx.enqueue(GENERATE_IMAGE, "subject")

    with pytest.raises(Forbidden):
        await mutating(database, changes_its_mind)
    job = await mutating(database, means_it)

    db = await database.newest()
    assert (job.kind, job.subject, job.state, job.due_at) == (GENERATE_IMAGE.kind, "subject", "queued", NOW)
    assert await db.exists(Job.by_subject.eq(subject="subject"))
    assert not await db.exists(Job.by_subject.eq(subject="subject of nothing"))
    (entry,) = await db.take(AuditEntry.by_created.all(), 10)
    assert (entry.actor, entry.action, entry.target, entry.reason) == ("ana", "image.deleted", "target", "Rude.")


async def test_an_action_runs_others_as_its_own_caller() -> None:
    asked: list[tuple[Identity | None, object, dict[str, Any]]] = []

    class Runs:
        async def run(
            self, identity: Identity | None, handler: Callable[..., Awaitable[T]], arguments: dict[str, Any]
        ) -> T:
            asked.append((identity, handler, arguments))
            return await handler(**arguments)

    async def handler(x: int) -> int:
        return x + 1

    assert await Action(Anyone(ANA, set()), ANA, Runs()).run(handler, x=1) == 2
    assert asked == [(ANA, handler, {"x": 1})]
