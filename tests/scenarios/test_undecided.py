"""A mutation of which nobody knows whether it committed: no answer but a closed line, and the truth when it is asked again."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from uuid import uuid4

import pytest

from schema.users import User
from server.store import embedded_child, mongo
from server.store.embedded import EmbeddedMongod
from tests.scenarios.stock import found
from tests.support.raw import raw_socket
from tests.support.world import open_world


async def test_a_database_that_goes_away_is_a_closed_line_and_not_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_child, "TRANSACTION_LIFETIME_S", 1)  # nothing can be dropped before it has ended
    hello = {"type": "Connect", "sessionId": str(uuid4()), "lastCloseReason": None}
    async with EmbeddedMongod(tmp_path) as mongod, open_world(mongod.uri) as world:
        token = await world.token("ana")
        assert mongod.pid is not None
        async with raw_socket(world) as line:
            await line.send({**hello, "connectionCount": 0})
            await line.authenticate(token)
            await line.receive("Transition")
            os.kill(mongod.pid, signal.SIGSTOP)
            try:
                with monkeypatch.context() as hasty:  # to come back takes its time on a busy machine
                    hasty.setattr(mongo, "TRANSACTION_DEADLINE_S", 1.0)
                    await line.mutate(0, "users:ensureUser", {})
                    code, reason = await line.closed()
            finally:
                os.kill(mongod.pid, signal.SIGCONT)
            assert (code, reason) == (1011, "InternalServerError")
            assert not [text for text in line.received if "MutationResponse" in text]
        async with raw_socket(world) as line:
            await line.send({**hello, "connectionCount": 1})
            await line.authenticate(token)
            await line.mutate(0, "users:ensureUser", {})
            assert (await line.receive("MutationResponse"))["success"] is True
        (ana,) = await found(world, User.by_user_id.eq(user_id="ana"))
        assert ana.credits == 10


async def test_one_that_was_sent_before_and_runs_out_of_time_is_no_failure(mongod_uri: str) -> None:
    """Another process may have done it and died before it said so; whether, stands in a receipt that was not reached in time."""
    hello = {"type": "Connect", "sessionId": str(uuid4()), "lastCloseReason": None}
    adjust = {"userId": "ana", "amount": 1, "reason": "locked"}
    async with open_world(mongod_uri, MUTATION_TIMEOUT_S="1") as world:
        token, store = await world.token("ana"), world.runtime.store
        async with raw_socket(world) as line:
            await line.send({**hello, "connectionCount": 0})
            await line.authenticate(token)
            await line.mutate(0, "users:ensureUser", {})
            await line.receive("MutationResponse")
        await world.runtime.make_admin("ana")
        async with store.client.start_session() as session, await session.start_transaction():
            await store.database["users"].update_one({"userId": "ana"}, {"$set": {"updatedAt": 1.0}}, session=session)
            async with raw_socket(world) as line:
                await line.send({**hello, "connectionCount": 1})
                await line.authenticate(token)
                await line.mutate(1, "admin:adjustCredits", adjust)
                assert await line.closed() == (1011, "InternalServerError")
                assert not [text for text in line.received if "MutationResponse" in text]
            await session.abort_transaction()
