"""The data folder of an embedded mongod: its lock, its previous owner, its log.

Invariant: of all processes, one holds the lock, for as long as it lives; the log and its one older part are bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
from pathlib import Path

from .embedded_errors import DataFolderInUse, DataFolderUnusable

PREDECESSOR_END_S = 5.0
POLL_S = 0.01
LOG_MAX_BYTES = 4 * 1024 * 1024
GIST_BYTES = 64 * 1024


def lock_folder(folder: Path, shown: Path) -> int:
    """Make the folder ours: a descriptor to keep open. The kernel lets go when we die, however we die."""
    try:
        (folder / "mongod").mkdir(parents=True, exist_ok=True)
        if not os.access(folder / "mongod", os.W_OK | os.X_OK, effective_ids=True):
            raise DataFolderUnusable(shown, f"no permission to write {folder / 'mongod'}")
        lock = os.open(folder / "mongod.holder", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DataFolderUnusable(shown, error.strerror or str(error)) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _process_id(os.pread(lock, 32, 0))
        os.close(lock)
        raise DataFolderInUse(shown, holder) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def say_port(lock: int, port: int) -> None:
    """Write where mongod listens behind our process id, for those who come beside us."""
    os.pwrite(lock, f"{os.getpid()}\n{port}\n".encode(), 0)


def port_said(folder: Path) -> int | None:
    """Where the mongod of this folder listens, if a living process of ours has one running here."""
    holder = folder / "mongod.holder"
    if not _is_held(holder):
        return None
    words = holder.read_bytes().split()
    return int(words[1]) if len(words) == len(("process", "port")) else None


async def predecessor_gone(mongod_lock: Path, shown: Path) -> None:
    """Wait for the end of a mongod whose owner has just been killed; refuse one that somebody else runs here."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PREDECESSOR_END_S):
            while True:
                if not _is_held(mongod_lock):
                    return
                await asyncio.sleep(POLL_S)
    raise DataFolderInUse(shown, _process_id(await asyncio.to_thread(mongod_lock.read_bytes)))


def _is_held(lock: Path) -> bool:
    """mongod holds its own lock file as we hold ours; that the file is there means nothing."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go at once, by closing
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def trim_log(log: Path) -> int:
    """Move an overlong log into its one older part; returns where the next line will begin.

    Copied and truncated, not renamed: mongod goes on writing to the same file. Lines written in between are lost.
    """
    if not log.exists():
        return 0
    size = log.stat().st_size
    if size <= LOG_MAX_BYTES:
        return size
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)
    return 0


def log_tail(log: Path, start: int) -> str:
    """The end of what was logged since this position."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start if start <= size else 0, size - GIST_BYTES))
        return file.read(GIST_BYTES).decode(errors="replace")


def _process_id(written: bytes) -> int | None:
    first = written.split()[:1]
    return int(first[0]) if first and first[0].isdigit() else None
