"""A story told by a client in a process of its own: it says JSON lines, and waits for words.

Invariant: every line a story says is heard in order; a story that ends badly, or says something else, fails with all it said.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

DEADLINE_S = 30
"""For each line, far beyond what a busy machine needs."""
MAX_LINE_BYTES = 8 << 20
ROOT = Path(__file__).parents[2]


class Story:
    """A running storyteller."""

    def __init__(self, name: str, process: Process, complaints: IO[bytes]) -> None:
        self._name, self._process, self._complaints = name, process, complaints
        self._said: list[str] = []

    def __repr__(self) -> str:
        return f"<Story {self._name}, {len(self._said)} lines>"

    async def hear(self, said: str) -> dict[str, Any]:
        """The next line, which must be this one."""
        line = await self._line()
        heard: dict[str, Any] = json.loads(line) if line else {}
        if heard.get("said") != said:
            raise AssertionError(
                f"{self._name} should have said {said!r}, not: {line or 'nothing'}\n{await self._all()}"
            )
        return heard

    def tell(self, word: str) -> None:
        """Let the story go on."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n".encode())

    async def end(self) -> None:
        """Wait until the story is over; it must have nothing more to say."""
        line = await self._line()
        if line or await self._process.wait() != 0:
            raise AssertionError(f"{self._name} did not end well: {line}\n{await self._all()}")

    async def stop(self) -> None:
        """End the process, whatever it does."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()

    async def _line(self) -> str:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(DEADLINE_S):
                line = (await self._process.stdout.readline()).decode()
        except TimeoutError:
            raise AssertionError(f"{self._name} fell silent\n{await self._all()}") from None
        if line:
            self._said.append(line)
        return line

    async def _all(self) -> str:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()
        self._complaints.seek(0)
        return "".join(self._said) + self._complaints.read().decode(errors="replace")


@asynccontextmanager
async def telling(name: str, *command: str, **told: object) -> AsyncIterator[Story]:
    """Start a story. It is told `told` as JSON, its last argument; it is over when the block ends, and must end well."""
    with tempfile.TemporaryFile() as complaints:
        process = await asyncio.create_subprocess_exec(
            *command, json.dumps(told), cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=complaints, limit=MAX_LINE_BYTES
        )
        story = Story(name, process, complaints)
        try:
            yield story
            await story.end()
        finally:
            await story.stop()
