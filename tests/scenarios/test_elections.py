"""The database is a set of three whose members fall out. One round in every run; more by `python -m tests.scenarios.elections`.

And what the store makes of a primary that has lost its majority: it promises nothing, and holds nobody up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from bson import Binary, Int64
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure
from pymongo.write_concern import WriteConcern

from schema.errors import StoreUnavailable
from schema.users import User
from schema.values import Id
from server.store import gridfs, mongo
from server.store.failures import meaning
from server.store.gridfs import BlobVault
from server.store.mongo import MongoStore, MongoTransaction
from server.store.setup import set_up
from tests.scenarios.elections import elections
from tests.support.replica_set import Fields, ReplicaSet, replica_set

SEED = 20_264
SHORT_S = 1.0
NOW = 1_700_000_000_000.0


@pytest.fixture(scope="module")
async def rs(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReplicaSet]:
    """Three members."""
    async with replica_set(tmp_path_factory.mktemp("set")) as opened:
        yield opened


def user_named(name: str) -> User:
    return User(id=Id(f"id-{name}"), creation_time=NOW, user_id=name, credits=1, created_at=NOW, updated_at=NOW)


async def test_members_at_work_lose_nothing_while_the_database_elects(rs: ReplicaSet, tmp_path: Path) -> None:
    report = await elections(rs, SEED, tmp_path)
    assert not report.problems, str(report)
    assert report.counts["generations"], str(report)


async def test_without_a_majority_nothing_is_promised_and_what_was_is_readable(
    rs: ReplicaSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both secondaries stand still. What is tried now may be done later or never, so nobody is told either."""
    async with AsyncMongoClient[Fields](rs.uri) as client:
        store, vault = MongoStore(client, "majority"), BlobVault(client, "majority_blobs")
        await set_up(store.database)

        async def insert(name: str) -> None:
            async def work(db: MongoTransaction) -> None:
                await db.insert(user_named(name))

            await store.transact(work)

        await insert("ana")
        primary, others = await rs.lose_majority()
        try:
            async with primary.alone() as alone:
                local = alone["majority"].get_collection("users", write_concern=WriteConcern(1))
                await local.update_one({"_id": "id-ana"}, {"$set": {"credits": 2.0}})
                # The newest time is one that a majority has seen, so it can be read at once, and will always have been.
                newest = await MongoStore(alone, "majority").newest()
                found = await MongoStore(alone, "majority").snapshot(newest).get(User, "id-ana")
                assert found is not None
                assert found.credits == 1
                # A commit that is sent again, and that only this member can answer for.
                with pytest.raises(OperationFailure) as unknown:
                    await alone.admin.command(_commit_of_nothing())
                assert isinstance(meaning(unknown.value), StoreUnavailable)
            with monkeypatch.context() as patch:
                patch.setattr(mongo, "TRANSACTION_DEADLINE_S", SHORT_S)
                patch.setattr(gridfs, "WRITE_DEADLINE_S", SHORT_S)
                patch.setattr(gridfs, "DELETE_DEADLINE_S", SHORT_S)
                with pytest.raises(StoreUnavailable):
                    await insert("ben")
                with pytest.raises(StoreUnavailable):
                    await vault.put("photo", b"x" * 600_000, "image/jpeg")
        finally:
            for each in others:
                each.thaw()
        await rs.secondaries()
        await insert("eve")
        names = await client["majority"]["users"].distinct("userId")
        assert {"ana", "eve"} <= set(names)


def _commit_of_nothing() -> Fields:
    """The commit of a transaction that this member does not know."""
    return {
        "commitTransaction": 1,
        "lsid": {"id": Binary(b"0123456789abcdef", 4)},
        "txnNumber": Int64(1),
        "autocommit": False,
        "writeConcern": {"w": "majority", "wtimeout": 200},
    }
