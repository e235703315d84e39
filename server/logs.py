"""Logs: one line per event, for people in development and as JSON for machines; each with a stable `action`.

Whose call or which job it is about is said once, by whoever begins it (`About`), and is on every line until it ends.

Invariant: what strangers wrote stays inside the line that tells of it: control characters are spelled out, and the lines
of a traceback are indented. Addresses and tokens in others' words are struck out.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from typing import Any

from server.config import LogFormat, LogLevel

FIELDS = ("action", "request", "user", "function", "job", "kind", "attempt", "worker")
"""What a record may carry beside its message: ids, and no personal data or secrets. `user` is the subject of a token."""
SHORT = 8
"""Characters of an id that people are shown; its end differs between neighbours in time."""
STRUCK_OUT = (
    (re.compile(r"(://[^\s:/@]+):[^\s@]+@"), r"\1:[password]@"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "[e-mail]"),
    (re.compile(r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), "[token]"),
)
"""Ours never say any of these; a library's error may."""
QUIET = ("google_genai", "httpx", "httpx2", "httpcore", "pymongo", "uvicorn.error", "uvicorn.access", "asyncio")


_about: ContextVar[Mapping[str, str | int]] = ContextVar("about")


class About:
    """Says for as long as it is entered, in this task and those it starts, what every line is about."""

    __slots__ = ("_ids", "_token")

    def __init__(self, **ids: str | int | None) -> None:
        self._ids = {name: value for name, value in ids.items() if value is not None}
        self._token: Token[Mapping[str, str | int]] | None = None

    def __repr__(self) -> str:
        return f"<About {self._ids}>"

    def __enter__(self) -> None:
        self._token = _about.set(self._ids)

    def __exit__(self, *_: Any) -> None:
        if self._token is not None:
            _about.reset(self._token)


def request_of_now() -> str | None:
    """The id of the call that is being answered, if one is."""
    return str(found) if (found := _about.get({}).get("request")) is not None else None


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What it says beside its message; its own word counts more than what it happens within."""
    about = _about.get({})
    said = {name: getattr(record, name, None) or about.get(name) for name in FIELDS}
    return {name: value for name, value in said.items() if value is not None}


def struck_out(text: str) -> str:
    """The text without addresses, tokens and passwords."""
    if "@" in text or "eyJ" in text:
        for found, instead in STRUCK_OUT:
            text = found.sub(instead, text)
    return text


def plain(text: str) -> str:
    """The text with everything that a terminal would obey, or not show, as JSON spells it."""
    return (
        text if text.isprintable() else "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)
    )


class Console(logging.Formatter):
    """`12:34:56 warning  feed interrupted`, with what it is about behind it and the traceback below, where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        fields = fields_of(record)
        line = f"{time} {record.levelname.lower():8} {record.getMessage()}"
        if "job" in fields:
            attempt = f" #{fields['attempt']}" if "attempt" in fields else ""
            line += f"  [{fields.get('kind', 'job')} {str(fields['job'])[-SHORT:]}{attempt}]"
        if "request" in fields and record.levelno >= logging.WARNING:
            line += f"  [request {fields['request']}]"
        below = self.formatException(record.exc_info).splitlines() if record.exc_info else []
        return "\n".join((plain(struck_out(line)), *(f"    {plain(struck_out(each))}" for each in below)))


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
        event |= fields_of(record)
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return plain(struck_out(json.dumps(event, ensure_ascii=False, default=str)))


def set_up_logs(shape: LogFormat, level: LogLevel) -> None:
    """Send everything to standard error in one shape; libraries speak up only when something is wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Console() if shape == "console" else Json())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
