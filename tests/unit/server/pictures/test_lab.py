"""The lab keeps working, and the event loop keeps turning, whatever happens to its processes.

Stopping a darkroom with SIGSTOP makes "busy" a state one can arrange instead of a race one must win.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import msgspec
import pytest

from server.pictures.darkroom import LENGTH_BYTES, MEMORY_LIMIT_BYTES, Failed, Inspect, Stylize, answer
from server.pictures.errors import BadPhoto, LabBusy, LabCrashed, PictureError
from server.pictures.lab import PhotoLab
from server.pictures.photo import inspect_photo
from server.providers.stylizer import stylize
from tests.support import pictures

SMALL = pictures.jpeg(1600, 16)
"""A sliver: drawn in no time."""
STUCK_S = 0.3
"""The deadline of calls that are meant to miss it."""


@pytest.fixture
async def lab() -> AsyncIterator[PhotoLab]:
    lab = PhotoLab(darkrooms=1, max_waiting=1)
    yield lab
    await lab.close()


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    file = tmp_path / "upload"
    file.write_bytes(pictures.jpeg(orientation=6, gps=True))
    return file


async def warm(lab: PhotoLab) -> int:
    """Have the lab's one process started; its id."""
    await lab.stylize(SMALL)
    (pid,) = lab.process_ids
    return pid


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def until(condition: Callable[[], bool]) -> None:
    """Turn the event loop until the lab shows a state; it needs no time, only turns."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_answers_are_those_of_the_plain_functions(lab: PhotoLab, upload: Path) -> None:
    assert lab.process_ids == ()
    assert await lab.inspect(upload) == inspect_photo(upload)
    assert (await lab.stylize(SMALL)).content == stylize(SMALL)
    assert len(lab.process_ids) == 1


async def test_refusals_arrive_with_their_sentence(lab: PhotoLab, tmp_path: Path) -> None:
    file = tmp_path / "page.jpg"
    file.write_bytes(pictures.not_a_picture())
    with pytest.raises(BadPhoto, match="This is a web page"):
        await lab.inspect(file)
    with pytest.raises(FileNotFoundError):
        await lab.inspect(tmp_path / "gone")


async def test_an_unforeseen_failure_is_reported_and_costs_no_process() -> None:
    lines: list[str] = []
    lab = PhotoLab(darkrooms=1, report=lines.append)
    pid = await warm(lab)
    with pytest.raises(LabCrashed):
        await lab.stylize(b"no picture at all")
    assert lines == ["Stylize failed: UnidentifiedImageError"]
    assert lab.process_ids == (pid,)
    await lab.close()


async def test_the_event_loop_turns_while_a_picture_is_drawn(lab: PhotoLab) -> None:
    drawing = asyncio.create_task(lab.stylize(pictures.portrait()))
    turns = 0
    while not drawing.done():
        await asyncio.sleep(0)
        turns += 1
    assert await drawing
    assert turns > 100


async def test_a_killed_process_costs_one_call_and_is_replaced(lab: PhotoLab, upload: Path) -> None:
    calls: list[tuple[Coroutine[None, None, object], type[PictureError]]] = [
        (lab.stylize(SMALL), LabCrashed),
        (lab.inspect(upload), BadPhoto),
    ]
    for call, expected in calls:
        pid = await warm(lab)
        os.kill(pid, signal.SIGSTOP)
        lost = asyncio.create_task(call)
        await until(lambda: lab.busy == 1)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(expected):
            await lost
        assert await warm(lab) != pid


async def test_an_idle_process_that_died_costs_at_most_one_call(lab: PhotoLab) -> None:
    os.kill(await warm(lab), signal.SIGKILL)
    try:
        picture = await lab.stylize(SMALL)
    except LabCrashed:
        picture = await lab.stylize(SMALL)
    assert picture.content == stylize(SMALL)


async def test_a_call_ends_at_its_deadline_and_its_process_with_it(upload: Path) -> None:
    lines: list[str] = []
    lab = PhotoLab(darkrooms=1, inspect_deadline_s=STUCK_S, report=lines.append)
    pid = await warm(lab)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(BadPhoto, match="could not be read in time"):
        await lab.inspect(upload)
    assert lines == ["Inspect lost its darkroom: TimeoutError"]
    assert await warm(lab) != pid
    await lab.close()


async def test_a_cancelled_call_gives_its_place_back(lab: PhotoLab) -> None:
    pid = await warm(lab)
    os.kill(pid, signal.SIGSTOP)
    call = asyncio.create_task(lab.stylize(SMALL))
    await until(lambda: lab.busy == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await warm(lab) != pid


async def test_waiting_calls_are_bounded_and_a_cancelled_one_leaves_the_queue(lab: PhotoLab) -> None:
    pid = await warm(lab)
    os.kill(pid, signal.SIGSTOP)
    working = asyncio.create_task(lab.stylize(SMALL))
    await until(lambda: lab.busy == 1)
    waiting = asyncio.create_task(lab.stylize(SMALL))
    await until(lambda: lab.waiting == 1)
    with pytest.raises(LabBusy):
        await lab.stylize(SMALL)
    assert repr(lab) == "<PhotoLab open busy=1/1 waiting=1/1>"
    waiting.cancel()
    await asyncio.wait([waiting])
    assert lab.waiting == 0
    next_one = asyncio.create_task(lab.stylize(SMALL))
    await until(lambda: lab.waiting == 1)
    os.kill(pid, signal.SIGCONT)
    assert await working == await next_one
    assert lab.process_ids == (pid,)


async def test_a_second_process_starts_only_when_the_first_is_busy() -> None:
    lab = PhotoLab(darkrooms=2)
    await lab.stylize(SMALL)
    await lab.stylize(SMALL)
    assert len(lab.process_ids) == 1
    await asyncio.gather(lab.stylize(SMALL), lab.stylize(SMALL))
    assert len(lab.process_ids) == 2
    await lab.close()


async def test_closing_ends_calls_and_processes(lab: PhotoLab) -> None:
    pid = await warm(lab)
    os.kill(pid, signal.SIGSTOP)
    working = asyncio.create_task(lab.stylize(SMALL))
    await until(lambda: lab.busy == 1)
    waiting = asyncio.create_task(lab.stylize(SMALL))
    await until(lambda: lab.waiting == 1)
    await lab.close()
    with pytest.raises(LabCrashed):
        await working
    with pytest.raises(LabBusy):
        await waiting
    with pytest.raises(LabBusy):
        await lab.stylize(SMALL)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    await lab.close()


async def test_an_interrupt_to_the_whole_group_leaves_the_darkroom_to_its_parent(lab: PhotoLab) -> None:
    pid = await warm(lab)
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGTERM)
    assert (await lab.stylize(SMALL)).content == stylize(SMALL)
    assert lab.process_ids == (pid,)


async def test_a_darkroom_has_little_memory_and_no_secrets(lab: PhotoLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYMENT_SECRET", "whisper")
    pid = await warm(lab)
    if sys.platform == "linux":
        assert resource.prlimit(pid, resource.RLIMIT_AS) == (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES)
        assert b"whisper" not in environment_of(pid)


def test_darkrooms_die_with_a_parent_that_was_killed() -> None:
    """Parent and darkroom share stderr: reading it to its end means both are gone."""
    script = """
import asyncio, sys
from server.pictures.lab import PhotoLab
async def main():
    lab = PhotoLab()
    await lab.stylize(sys.stdin.buffer.read())
    print(*lab.process_ids, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as parent:
        assert parent.stdin
        assert parent.stdout
        assert parent.stderr
        parent.stdin.write(SMALL)
        parent.stdin.close()
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()
        assert parent.stderr.read() == b""


def test_a_job_that_outlives_its_deadline_is_ended_by_the_kernel(tmp_path: Path) -> None:
    """Reading a pipe nobody writes to lasts for ever, even with no parent watching."""
    endless = tmp_path / "endless"
    os.mkfifo(endless)
    request = msgspec.msgpack.encode(Inspect(path=str(endless), deadline_s=0.0))
    with subprocess.Popen(
        [sys.executable, "-m", "server.pictures.darkroom"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as darkroom:
        assert darkroom.stdin
        assert darkroom.stdout
        darkroom.stdin.write(len(request).to_bytes(LENGTH_BYTES, "big") + request)
        darkroom.stdin.flush()
        assert darkroom.stdout.read() == b""
    assert darkroom.returncode == -signal.SIGALRM


def test_every_failure_of_a_job_is_an_answer(tmp_path: Path) -> None:
    assert answer(Inspect(path=str(tmp_path / "gone"), deadline_s=1)) == Failed("FileNotFoundError")
    assert answer(Stylize(photo=b"", deadline_s=1)) == Failed("UnidentifiedImageError")
