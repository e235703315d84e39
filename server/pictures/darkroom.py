"""The process in which strangers' bytes are decoded: requests on stdin, answers on stdout, nothing else.

Run as `python -m server.pictures.darkroom`. It holds no secrets (its environment is empty), may be killed at any time,
and ends by itself: when stdin closes because its parent is gone, or by SIGALRM when a job outlives its deadline, which
the kernel delivers even while a decoder holds the interpreter.

Frames both ways are a 4-byte big-endian length and MessagePack; never pickle, so a decoder taken over by a crafted
file cannot answer with code.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import warnings
from pathlib import Path
from typing import BinaryIO

import msgspec

from server.pictures.errors import BadPhoto
from server.pictures.photo import Photo, inspect_photo, measured
from server.pictures.sending import for_model
from server.pictures.sniff import WEBP
from server.providers.stylizer import stylize

MEMORY_LIMIT_BYTES = 2 * 1024**3
ALARM_GRACE_S = 1.0
LENGTH_BYTES = 4


class Inspect(msgspec.Struct, frozen=True, tag=True):
    """Read the upload at `path`."""

    path: str
    deadline_s: float


class Stylize(msgspec.Struct, frozen=True, tag=True):
    """Draw this photo."""

    photo: bytes
    deadline_s: float


class Prepare(msgspec.Struct, frozen=True, tag=True):
    """Make this stored photo ready to be sent to a model."""

    photo: bytes
    deadline_s: float


class Finish(msgspec.Struct, frozen=True, tag=True):
    """Read what a model drew: strangers' bytes, like an upload."""

    picture: bytes
    deadline_s: float


class Inspected(msgspec.Struct, frozen=True, tag=True):
    """The upload is a photo, or what a model drew is a picture."""

    photo: Photo


class Refused(msgspec.Struct, frozen=True, tag=True):
    """It is none, and why."""

    reason_sentence: str


class Stylized(msgspec.Struct, frozen=True, tag=True):
    """The drawing, measured."""

    picture: Photo


class Prepared(msgspec.Struct, frozen=True, tag=True):
    """The photo as it is sent."""

    jpeg: bytes


class Failed(msgspec.Struct, frozen=True, tag=True):
    """An error nobody foresaw: its type, for the log."""

    error: str


Request = Inspect | Stylize | Prepare | Finish
Reply = Inspected | Refused | Stylized | Prepared | Failed

_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)


def main() -> None:
    """Answer requests until stdin closes."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _confine()
    while (request := _receive(sys.stdin.buffer)) is not None:
        signal.setitimer(signal.ITIMER_REAL, request.deadline_s + ALARM_GRACE_S)
        reply = msgspec.msgpack.encode(answer(request))
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            answers.write(len(reply).to_bytes(LENGTH_BYTES, "big") + reply)
            answers.flush()
        except BrokenPipeError:
            os._exit(0)  # the parent is gone, and nobody is left to read a traceback


def answer(request: Request) -> Reply:
    """Do one job; every outcome is a reply."""
    try:
        match request:
            case Inspect(path=path):
                return Inspected(inspect_photo(Path(path)))
            case Stylize(photo=photo):
                return Stylized(measured(stylize(photo)))
            case Prepare(photo=photo):
                return Prepared(for_model(photo))
            case Finish(picture=picture):
                return Inspected(inspect_photo(picture, stored_as=WEBP))
    except BadPhoto as refusal:
        return Refused(refusal.reason_sentence)
    except Exception as error:  # the boundary of the process: what happened here must not end it
        return Failed(type(error).__name__)


def _confine() -> None:
    """Signals for the group are the parent's to handle; memory is limited where the system allows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    warnings.simplefilter("ignore")
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _receive(stream: BinaryIO) -> Request | None:
    length = stream.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        return None
    size = int.from_bytes(length, "big")
    frame = stream.read(size)
    return _requests.decode(frame) if len(frame) == size else None


if __name__ == "__main__":
    main()
