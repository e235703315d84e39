"""The oracle: what the database held at a moment, asked of mongod itself and of none of our own code."""

from __future__ import annotations

from typing import Any, TypeAlias

from bson import Timestamp as BsonTimestamp

from tests.support.world import World

Fields: TypeAlias = dict[str, Any]

MANY = 10_000


async def rows_at(world: World, ts: int, collection: str, **matching: Any) -> list[Fields]:
    """The documents with these fields at the cluster time `ts`, in no order."""
    at = {"level": "snapshot", "atClusterTime": BsonTimestamp(ts >> 32, ts & 0xFFFFFFFF)}
    find = {"find": collection, "filter": matching, "batchSize": MANY, "readConcern": at}
    reply = await world.runtime.store.database.command(find)
    assert not reply["cursor"]["id"], "more rows than fit into one reply"
    found: list[Fields] = reply["cursor"]["firstBatch"]
    return found
