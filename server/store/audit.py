"""The ledger held against the balances, for everybody at one moment."""

from __future__ import annotations

from typing import Any

import msgspec
import pymongo

from schema.billing import LedgerEntry
from schema.document import table_of
from schema.users import User
from schema.values import Timestamp
from server.store import codec
from server.store.failures import translated
from server.store.mongo import MongoStore

AUDIT_DEADLINE_S = 300.0
MAX_REPORTED = 100


class Imbalance(msgspec.Struct, frozen=True):
    """A member whose balance is not the sum of their movements."""

    user_id: str
    credits: int
    ledger: int


async def imbalances(store: MongoStore, ts: Timestamp) -> list[Imbalance]:
    """Every member, up to a number worth reporting, for whom balance and ledger disagree at `ts`.

    Raises `SnapshotGone`, `StoreUnavailable`.
    """
    own_movements = [
        {"$match": {"$expr": {"$eq": ["$userId", "$$user"]}}},
        {"$group": {"_id": None, "sum": {"$sum": "$amount"}}},
    ]
    pipeline: list[dict[str, Any]] = [
        {
            "$lookup": {
                "from": table_of(LedgerEntry).name,
                "let": {"user": "$userId"},
                "pipeline": own_movements,
                "as": "ledger",
            }
        },
        {"$project": {"userId": 1, "credits": 1, "ledger": {"$ifNull": [{"$first": "$ledger.sum"}, 0]}}},
        {"$match": {"$expr": {"$ne": ["$credits", "$ledger"]}}},
        {"$sort": {"userId": 1}},  # the same ones each time, or those that were acknowledged would give way to others
        {"$limit": MAX_REPORTED},
    ]
    command = {
        "aggregate": table_of(User).name,
        "pipeline": pipeline,
        "cursor": {"batchSize": MAX_REPORTED},
        "readConcern": {"level": "snapshot", "atClusterTime": codec.cluster_time(ts)},
    }
    with translated(), pymongo.timeout(AUDIT_DEADLINE_S):
        reply = await store.database.command(command)
    rows = reply["cursor"]["firstBatch"]
    return [Imbalance(row["userId"], int(row["credits"]), int(row["ledger"])) for row in rows]
