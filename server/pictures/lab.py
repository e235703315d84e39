"""The photo lab: a few darkroom processes that decode uploads and draw pictures, away from the event loop.

One call holds one darkroom. A call that crashes, overruns its deadline or is cancelled costs exactly its own process,
which the next call replaces; neighbours never notice. Processes start when first needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from server.pictures.darkroom import (
    LENGTH_BYTES,
    Failed,
    Finish,
    Inspect,
    Inspected,
    Prepare,
    Prepared,
    Refused,
    Reply,
    Request,
    Stylize,
    Stylized,
)
from server.pictures.errors import BadPhoto, LabBusy, LabCrashed
from server.pictures.photo import Photo

DARKROOMS = 2
MAX_WAITING_CALLS = 32
MAX_WAIT_S = 60.0
INSPECT_DEADLINE_S = 20.0
STYLIZE_DEADLINE_S = 30.0
REAP_DEADLINE_S = 5.0
MAX_REPLY_BYTES = 64 * 1024**2

_UNREADABLE = "This photo could not be read in time or at all. Try exporting it again, or use a smaller one."
_PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
_PROJECT_ROOT = Path(__file__).resolve().parents[2]

_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


class PhotoLab:
    """Inspects and stylizes photos. At most `darkrooms` at a time; at most `max_waiting` callers queue for them.

    `report` hears a line about every call that ended otherwise than by an answer: food for telemetry.
    """

    __slots__ = (
        "_closed",
        "_free",
        "_inspect_deadline_s",
        "_max_waiting",
        "_report",
        "_rooms",
        "_stylize_deadline_s",
        "_waiting",
    )

    def __init__(
        self,
        *,
        darkrooms: int = DARKROOMS,
        max_waiting: int = MAX_WAITING_CALLS,
        inspect_deadline_s: float = INSPECT_DEADLINE_S,
        stylize_deadline_s: float = STYLIZE_DEADLINE_S,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._report = report
        self._rooms = tuple(_Darkroom() for _ in range(darkrooms))
        self._free: asyncio.LifoQueue[_Darkroom] = asyncio.LifoQueue(maxsize=darkrooms)
        for room in reversed(self._rooms):
            self._free.put_nowait(room)
        self._waiting = 0
        self._max_waiting = max_waiting
        self._inspect_deadline_s = inspect_deadline_s
        self._stylize_deadline_s = stylize_deadline_s
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<PhotoLab {state} busy={self.busy}/{len(self._rooms)} waiting={self._waiting}/{self._max_waiting}>"

    @property
    def process_ids(self) -> tuple[int, ...]:
        """The darkroom processes alive now."""
        return tuple(room.pid for room in self._rooms if room.pid is not None)

    @property
    def busy(self) -> int:
        """Darkrooms with a call in them."""
        return len(self._rooms) - self._free.qsize()

    @property
    def waiting(self) -> int:
        """Calls queued for a darkroom."""
        return self._waiting

    async def inspect(self, path: Path) -> Photo:
        """The stored form of the upload at `path`; raises BadPhoto, LabBusy, or FileNotFoundError."""
        if not await asyncio.to_thread(os.path.isfile, path):
            raise FileNotFoundError(path)
        try:
            reply = await self._call(_order(path, self._inspect_deadline_s))
        except LabCrashed:
            raise BadPhoto(_UNREADABLE) from None
        match reply:
            case Inspected(photo):
                return photo
            case Refused(reason_sentence):
                raise BadPhoto(reason_sentence)
            case _:
                raise BadPhoto(_UNREADABLE)

    async def stylize(self, photo: bytes) -> Photo:
        """The drawing of a photo `inspect` accepted, as WebP and ready to be stored; raises LabCrashed or LabBusy."""
        match await self._call(Stylize(photo=photo, deadline_s=self._stylize_deadline_s)):
            case Stylized(picture):
                return picture
            case _:
                raise LabCrashed

    async def for_model(self, photo: bytes) -> bytes:
        """A photo `inspect` accepted, as a JPEG to send to a model; raises LabCrashed or LabBusy."""
        match await self._call(Prepare(photo=photo, deadline_s=self._inspect_deadline_s)):
            case Prepared(jpeg):
                return jpeg
            case _:
                raise LabCrashed

    async def finish(self, picture: bytes) -> Photo:
        """What a model drew, as WebP and ready to be stored; raises BadPhoto, LabCrashed or LabBusy."""
        match await self._call(Finish(picture=picture, deadline_s=self._inspect_deadline_s)):
            case Inspected(finished):
                return finished
            case Refused(reason_sentence):
                raise BadPhoto(reason_sentence)
            case _:
                raise LabCrashed

    async def close(self) -> None:
        """End every darkroom; calls under way fail as crashed, waiting and later ones are refused."""
        if self._closed:
            return
        self._closed = True
        for room in self._rooms:
            room.kill()
        empty = [await self._free.get() for _ in self._rooms]
        for room in empty:
            await room.reap()
            self._free.put_nowait(room)

    async def _call(self, request: Request) -> Reply:
        room = await self._enter()
        try:
            async with asyncio.timeout(request.deadline_s):
                reply = await room.exchange(request)
        except (TimeoutError, OSError, EOFError, msgspec.DecodeError) as error:
            room.kill()
            self._report(f"{type(request).__name__} lost its darkroom: {type(error).__name__}")
            raise LabCrashed from None
        except BaseException:
            room.kill()
            raise
        finally:
            self._free.put_nowait(room)
        if isinstance(reply, Failed):
            self._report(f"{type(request).__name__} failed: {reply.error}")
        return reply

    async def _enter(self) -> _Darkroom:
        if self._closed or (self._free.empty() and self._waiting >= self._max_waiting):
            raise LabBusy
        self._waiting += 1
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                room = await self._free.get()
        except TimeoutError:
            raise LabBusy from None
        finally:
            self._waiting -= 1
        if self._closed:
            self._free.put_nowait(room)
            raise LabBusy
        return room


class _Darkroom:
    """One child process and the two pipes to it, started on first use and again after each death.

    A killed process counts as gone at once, though the system may still be about to say so.
    """

    __slots__ = ("_killed", "_process")

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._killed = False

    def __repr__(self) -> str:
        return f"<_Darkroom pid={self.pid}>"

    @property
    def pid(self) -> int | None:
        if self._process is None or self._killed or self._process.returncode is not None:
            return None
        return self._process.pid

    async def exchange(self, request: Request) -> Reply:
        if self.pid is None:
            await self.reap()
            self._process = await _start()
            self._killed = False
        requests = self._process.stdin if self._process else None
        answers = self._process.stdout if self._process else None
        if requests is None or answers is None:
            raise EOFError
        frame = msgspec.msgpack.encode(request)
        requests.writelines((len(frame).to_bytes(LENGTH_BYTES, "big"), frame))
        await requests.drain()
        size = int.from_bytes(await answers.readexactly(LENGTH_BYTES), "big")
        if size > MAX_REPLY_BYTES:
            raise EOFError
        return _replies.decode(await answers.readexactly(size))

    def kill(self) -> None:
        self._killed = True
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def reap(self) -> None:
        """Kill and collect the process, draining its pipes so that nothing of it stays open."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(REAP_DEADLINE_S):
                await process.communicate()


def _order(path: Path, deadline_s: float) -> Inspect:
    return Inspect(path=str(path.absolute()), deadline_s=deadline_s)


async def _start() -> asyncio.subprocess.Process:
    """A fresh interpreter, given nothing of ours but where modules are: no secrets in its environment."""
    modules = os.pathsep.join(dict.fromkeys([str(_PROJECT_ROOT), *filter(None, sys.path)]))
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "server.pictures.darkroom",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": modules} | {name: os.environ[name] for name in _PASSED_ON if name in os.environ},
    )
