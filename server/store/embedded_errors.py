"""What can go wrong with the embedded mongod; every sentence tells a person what to do next.

EmbeddedMongodError
├── NoEmbeddedMongod    this machine has no binary: a database must be named
├── DataFolderInUse     another copy, or a mongod of its own, holds the folder
├── DataFolderUnusable  the folder cannot be made or written
├── NoFreePort          every port we may use is taken
├── MongodExited        mongod ended by itself
├── MongodNotReady      mongod runs but did not become primary in time
├── MongodKeepsDying    restarted several times in vain; we gave up
└── MongodNotStarted    asked for an address before `start`
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

GIST_CHARS = 400


class EmbeddedMongodError(Exception):
    """Root of the embedded mongod's errors; its text is meant for a person, no traceback is needed."""

    retryable = False


class NoEmbeddedMongod(EmbeddedMongodError):
    """This machine has no embedded mongod."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"There is no embedded MongoDB here: {reason}. Set MONGODB_URI to a MongoDB replica set (6.0 or newer)."
        )
        self.reason = reason


class DataFolderInUse(EmbeddedMongodError):
    """Another copy holds the data folder."""

    def __init__(self, folder: Path, holder: int | None) -> None:
        who = "another process" if holder is None else f"process {holder}"
        super().__init__(f"The data folder {folder} is in use by {who}. Stop it, or set DATA_DIR to another folder.")
        self.folder, self.holder = folder, holder


class DataFolderUnusable(EmbeddedMongodError):
    """The data folder cannot be made or written."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"The data folder {folder} cannot be written ({reason}). "
            "Correct its permissions, or set DATA_DIR to another folder."
        )
        self.folder, self.reason = folder, reason


class NoFreePort(EmbeddedMongodError):
    """Every port we may use is taken."""

    def __init__(self, ports: range) -> None:
        super().__init__(
            f"No free port for the embedded MongoDB between {ports.start} and {ports.stop - 1} on 127.0.0.1. "
            "Stop other programs, or set MONGODB_URI to a MongoDB replica set."
        )
        self.ports = ports


class MongodExited(EmbeddedMongodError):
    """mongod ended by itself."""

    def __init__(self, code: int, gist: str, log_path: Path) -> None:
        super().__init__(
            f"The embedded MongoDB ended with {spoken_exit(code)}: {gist} "
            f"Its log is {log_path}; to begin with an empty database, set DATA_DIR to another folder."
        )
        self.code, self.gist, self.log_path = code, gist, log_path


class MongodNotReady(EmbeddedMongodError):
    """mongod runs but did not become primary in time."""

    def __init__(self, waited_s: float, log_path: Path) -> None:
        super().__init__(
            f"The embedded MongoDB was not ready after {waited_s:g} s. Read its log {log_path} and start again."
        )
        self.waited_s, self.log_path = waited_s, log_path


class MongodKeepsDying(EmbeddedMongodError):
    """Restarted several times in vain; we gave up."""

    def __init__(self, times: int, gist: str, log_path: Path) -> None:
        super().__init__(
            f"The embedded MongoDB ended {times} times in a row and is not started again: {gist} "
            f"Read its log {log_path}, then start again, or set MONGODB_URI to a MongoDB replica set."
        )
        self.times, self.gist, self.log_path = times, gist, log_path


class MongodNotStarted(EmbeddedMongodError):
    """Asked for an address before `start`."""

    def __init__(self) -> None:
        super().__init__("The embedded MongoDB has no address yet: await start() first.")


def spoken_exit(code: int) -> str:
    """How a person names this return code."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def gist_of(log: str) -> str:
    """The last grave words of one run's log, as a sentence or two; the last line of all if it has none."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    grave = [words for line in lines if (words := _grave_words(line))]
    plain = [line for line in lines if not line.startswith("{")]
    chosen = list(dict.fromkeys(grave))[-2:] or plain[-1:] or ["it wrote no reason."]
    gist = " ".join(words if words.endswith((".", "!", "?")) else f"{words}." for words in chosen)
    return gist if len(gist) <= GIST_CHARS else gist[: GIST_CHARS - 3] + "..."


def _grave_words(line: str) -> str | None:
    """Message and reason of a log line that is an error or fatal."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or entry.get("s") not in {"E", "F"}:
        return None
    attributes = entry.get("attr")
    reason = attributes.get("error", attributes.get("message")) if isinstance(attributes, dict) else None
    if isinstance(reason, dict):
        reason = reason.get("errmsg", reason.get("msg"))
    return str(entry.get("msg", "")).strip() + (f" ({reason})" if reason else "")
