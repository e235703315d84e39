"""A replica set of three on this machine: three `mongod` of the wheel, whose members can be killed, frozen and told to step down.

Invariant: whatever is started here ends with the context that started it, frozen or not; a member comes back on its port with
its files.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient, ReadPreference
from pymongo.errors import ConnectionFailure, PyMongoError

from server.store.embedded_child import HOST, REPLICA_SET, Child, free_ports, locate_mongod

MEMBERS = 3
ELECTION_MS, HEARTBEAT_MS = 2_000, 500
"""A tenth of MongoDB's own patience: what is waited for in tests is an election, not its time-out."""
ANSWER_MS = 2_000
DEADLINE_S = 60.0
POLL_S = 0.05
PRIMARY, SECONDARY = 1, 2
NOT_YET_INITIALIZED = 94
Fields = dict[str, Any]


class Member:
    """One mongod of the set, by its own address."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.address = f"{HOST}:{port}"
        (folder / "mongod").mkdir(parents=True)
        self._child: Child | None = None
        self._frozen = False

    def __repr__(self) -> str:
        return f"<Member {self.address}{', frozen' if self._frozen else ''}>"

    def start(self) -> None:
        """Start it, the first time or again."""
        self._child = Child(locate_mongod(), self.folder / "mongod", self.port, self.folder / "mongod.log")

    async def kill(self) -> None:
        """End it without a word."""
        assert self._child is not None
        self._child.send(signal.SIGKILL)
        self._frozen = False
        await asyncio.shield(self._child.exited)

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does: its connections stay open, and nobody answers."""
        assert self._child is not None
        self._child.send(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Let it go on."""
        assert self._child is not None
        self._child.send(signal.SIGCONT)
        self._frozen = False

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[AsyncMongoClient[Fields]]:
        """A client of this member and no other."""
        async with AsyncMongoClient[Fields](HOST, self.port, directConnection=True, timeoutMS=ANSWER_MS) as client:
            yield client

    async def until_none(self, database: str, table: str, such: Fields) -> None:
        """Wait until no such document is among this member's own files: while it starts and rolls back it answers nobody."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                with suppress(PyMongoError):
                    async with self.alone() as client:
                        kept = client[database].get_collection(
                            table, read_preference=ReadPreference.SECONDARY_PREFERRED
                        )
                        if await kept.count_documents(such) == 0:
                            return
                await asyncio.sleep(POLL_S)


class ReplicaSet:
    """Three members. Made by `replica_set`."""

    def __init__(self, members: list[Member]) -> None:
        self.members = members

    def __repr__(self) -> str:
        return f"<ReplicaSet {self.members}>"

    @property
    def uri(self) -> str:
        """For clients: all members."""
        return self.uri_of("")

    def uri_of(self, database: str) -> str:
        """For clients whose database this is."""
        return f"mongodb://{','.join(each.address for each in self.members)}/{database}?replicaSet={REPLICA_SET}"

    async def primary(self) -> Member:
        """Who is primary of a majority now; waits until somebody is."""
        return (await self._until(lambda roles: PRIMARY in roles.values(), PRIMARY))[0]

    async def secondaries(self) -> list[Member]:
        """The two others, once they are in step."""
        return await self._until(lambda roles: sorted(roles.values()) == [PRIMARY, SECONDARY, SECONDARY], SECONDARY)

    async def step_down(self) -> Member:
        """Have the primary hand over; returns who was it. Another member is primary afterwards."""
        before = await self.primary()
        async with before.alone() as client:
            with suppress(ConnectionFailure):  # whoever asks may be cut off with everybody else
                await client.admin.command({"replSetStepDown": 11, "secondaryCatchUpPeriodSecs": 10})
        return before

    async def lose_majority(self) -> tuple[Member, list[Member]]:
        """Freeze both secondaries: the primary takes writes until it notices, and nobody vouches for them."""
        secondaries, primary = await self.secondaries(), await self.primary()
        for each in secondaries:
            each.freeze()
        return primary, secondaries

    async def _until(self, holds: Callable[[dict[str, int]], bool], role: int) -> list[Member]:
        """The members of a role, once the set as one member sees it is as wanted."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                for roles in [await _roles(member) for member in self.members if not member._frozen]:
                    if holds(roles):
                        return [each for each in self.members if roles.get(each.address) == role]
                await asyncio.sleep(POLL_S)

    async def initiate(self) -> None:
        """Make one set of them, the first time."""
        hosts = [{"_id": number, "host": each.address} for number, each in enumerate(self.members)]
        patience = {"electionTimeoutMillis": ELECTION_MS, "heartbeatIntervalMillis": HEARTBEAT_MS}
        async with asyncio.timeout(DEADLINE_S):
            while True:  # the others must listen already
                try:
                    async with self.members[0].alone() as client:
                        await client.admin.command(
                            "replSetInitiate", {"_id": REPLICA_SET, "members": hosts, "settings": patience}
                        )
                except PyMongoError:
                    await asyncio.sleep(POLL_S)
                else:
                    return


async def _roles(member: Member) -> dict[str, int]:
    """The set as one member sees it, by address; empty where it does not answer."""
    try:
        async with member.alone() as client:
            status = await client.admin.command("replSetGetStatus")
    except PyMongoError:
        return {}
    return {each["name"]: int(each["state"]) for each in status["members"] if each["health"]}


def _made(folder: Path) -> Iterable[Member]:
    taken: set[int] = set()
    for number in range(MEMBERS):
        own = folder / f"member-{number}"
        port = next(each for each in free_ports(own, None) if each not in taken)
        taken.add(port)
        yield Member(own, port)


@asynccontextmanager
async def replica_set(folder: Path) -> AsyncIterator[ReplicaSet]:
    """Three members, of which one is primary and two are in step."""
    opened = ReplicaSet(list(_made(folder)))
    started: list[Member] = []
    try:
        for member in opened.members:
            member.start()
            started.append(member)
        await opened.initiate()
        await opened.secondaries()
        yield opened
    finally:
        for member in started:
            await member.kill()
