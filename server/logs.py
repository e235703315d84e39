"""Logs: one line per event, for people in development and as JSON for machines; each with a stable `action`.

Invariant: what strangers wrote stays inside the line that tells of it: control characters are spelled out, and the lines
of a traceback are indented.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from server.config import LogFormat, LogLevel

FIELDS = ("action", "request", "function", "job", "kind", "attempt", "worker")
"""What a record may carry beside its message. Personal data and secrets are none of it."""
QUIET = ("google_genai", "httpx", "httpx2", "httpcore", "pymongo", "uvicorn.error", "uvicorn.access", "asyncio")


def plain(text: str) -> str:
    """The text with everything that a terminal would obey, or not show, as JSON spells it."""
    return (
        text if text.isprintable() else "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)
    )


class Console(logging.Formatter):
    """`12:34:56 warning  feed interrupted`, with the traceback below where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        line = f"{time} {record.levelname.lower():8} {record.getMessage()}"
        request = getattr(record, "request", None)
        if request is not None:
            line += f"  [request {request}]"
        below = self.formatException(record.exc_info).splitlines() if record.exc_info else []
        return "\n".join((plain(line), *(f"    {plain(each)}" for each in below)))


class Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        event: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        event |= {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return plain(json.dumps(event, ensure_ascii=False, default=str))


def set_up_logs(shape: LogFormat, level: LogLevel) -> None:
    """Send everything to standard error in one shape; libraries speak up only when something is wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Console() if shape == "console" else Json())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
