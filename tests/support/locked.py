"""A mongod that asks who is there, as in production: users with roles, and nobody else."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from server.store.embedded_child import locate_mongod
from tests.support.world import free_port

DEADLINE_S: Final = 60.0
RETRY_S: Final = 0.05
Fields = dict[str, Any]


class LockedMongod:
    """A replica set of one with authorisation on. `uri` is its root's."""

    def __init__(self, port: int) -> None:
        self._port, self._password = port, secrets.token_hex(8)
        self.uri = self._uri_of("root")

    def __repr__(self) -> str:
        return f"<LockedMongod at {self._port}>"

    def _uri_of(self, name: str, path: str = "") -> str:
        return f"mongodb://{name}:{self._password}@127.0.0.1:{self._port}/{path}?replicaSet=rs0&authSource=admin"

    async def user(self, name: str, roles: Mapping[str, str]) -> str:
        """The address for a new user with a role in each of these databases."""
        async with AsyncMongoClient[Fields](self.uri) as root:
            granted = [{"db": database, "role": role} for database, role in roles.items()]
            await root.admin.command("createUser", name, pwd=self._password, roles=granted)
        return self._uri_of(name)

    async def grant(self, name: str, roles: Mapping[str, str]) -> None:
        """More roles for a user."""
        async with AsyncMongoClient[Fields](self.uri) as root:
            granted = [{"db": database, "role": role} for database, role in roles.items()]
            await root.admin.command("grantRolesToUser", name, roles=granted)

    async def begin(self) -> None:
        """Found the replica set and make its root, which the first who come from this machine may do."""
        address = f"127.0.0.1:{self._port}"
        async with AsyncMongoClient[Fields](address, directConnection=True, timeoutMS=2_000) as first:
            asked = False
            while True:
                try:
                    if not asked:
                        members = [{"_id": 0, "host": address}]
                        await first.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
                        asked = True
                    await first.admin.command("createUser", "root", pwd=self._password, roles=["root"])
                except PyMongoError:  # it does not listen yet, or is not elected yet
                    await asyncio.sleep(RETRY_S)
                else:
                    return


@asynccontextmanager
async def locked_mongod(folder: Path) -> AsyncIterator[LockedMongod]:
    """A running one, with its files in the folder."""
    key, port = folder / "key", free_port()
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    (folder / "db").mkdir()
    small = ("--oplogSize", "16", "--wiredTigerCacheSizeGB", "0.25", "--bind_ip", "127.0.0.1", "--nounixsocket")
    started = await asyncio.create_subprocess_exec(
        str(locate_mongod()), "--dbpath", str(folder / "db"), "--port", str(port), "--replSet", "rs0", *small,
        "--auth", "--keyFile", str(key), stdout=asyncio.subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    try:
        mongod = LockedMongod(port)
        async with asyncio.timeout(DEADLINE_S):
            await mongod.begin()
        yield mongod
    finally:
        started.kill()
        await started.wait()
