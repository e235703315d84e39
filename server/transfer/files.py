"""Files that are whole or absent: written under another name, brought to the disk, and only then called by theirs.

Everything here blocks and is called in a thread.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

SAFE_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,128}")


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file so that after any crash it is the old one or the new one."""
    with Draft(path) as draft:
        draft.write(content)
        draft.keep()


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def blob_place(blob_id: str) -> Path:
    """Where a blob lies below `blobs`. Raises `ValueError` for an id that is no file's name."""
    if SAFE_ID.fullmatch(blob_id) is None:
        raise ValueError(blob_id)
    return Path(hashlib.sha256(blob_id.encode()).hexdigest()[:2]) / blob_id


def claim_folder(folder: Path) -> int:
    """Keep other processes from working on the folder, until the descriptor is closed. Raises `BlockingIOError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class Draft:
    """A file on its way: what is written counts, and its digest grows with it. Gone unless it is kept."""

    def __init__(self, path: Path) -> None:
        self.path, self.size = path, 0
        self._draft = path.with_name(f"{path.name}.part")
        self._digest = hashlib.sha256()
        self._file: IO[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Draft of {self.path.name}, {self.size} bytes>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()

    @property
    def sha256(self) -> str:
        """Of what was written so far."""
        return self._digest.hexdigest()

    def write(self, piece: bytes) -> int:
        """Add to it."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._draft.open("wb")
        self._digest.update(piece)
        self.size += len(piece)
        return self._file.write(piece)

    def keep(self, *, at_once: bool = True) -> None:
        """Call it by its name, once it is on the disk; with `at_once=False` somebody else brings it there."""
        file = self._file
        if file is None:
            self.write(b"")
            file = self._file
        if file is not None:
            file.flush()
            if at_once:
                os.fsync(file.fileno())
            file.close()
        self._file = None
        self._draft.replace(self.path)
        if at_once:
            sync_folder(self.path.parent)

    def drop(self) -> None:
        """Leave nothing of what was not kept."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._draft.unlink(missing_ok=True)
