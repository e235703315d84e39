"""The crowd as the soak holds it: a process of its own that is given orders and answers them."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from tests.scenarios.soak.crowd import Wanted
from tests.support.processes import ROOT

ANSWER_S = 300.0
MAX_WORDS_BYTES = 1 << 28


class Gathering:
    """One crowd. `online` and `processor_s` are what it said last."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._answers: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())
        self.online, self.processor_s = 0, 0.0

    def __repr__(self) -> str:
        return f"<Gathering {self._process.pid}, {self.online} online>"

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            words = json.loads(line)
            if "online" in words:
                self.online, self.processor_s = words["online"], words["processor_s"]
            else:
                self._answers.put_nowait(words)
        self._answers.put_nowait(None)

    async def answer(self, within_s: float = ANSWER_S) -> dict[str, Any]:
        """What it answers next. Raises `RuntimeError` when it has ended."""
        async with asyncio.timeout(within_s):
            words = await self._answers.get()
        if words is None:
            raise RuntimeError("the crowd has ended by itself")
        return words

    async def asked(self, **order: object) -> dict[str, Any]:
        """Give an order, and wait for the answer."""
        self._order(order)
        return await self.answer()

    def _order(self, order: dict[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    @classmethod
    @asynccontextmanager
    async def gathered(cls, wanted: Wanted) -> AsyncIterator[Gathering]:
        """Start one; all have come once it has answered."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.scenarios.soak.crowd", cwd=ROOT, stdin=PIPE, stdout=PIPE, limit=MAX_WORDS_BYTES
        )
        crowd = cls(process)
        try:
            crowd._order(msgspec.to_builtins(wanted))
            yield crowd
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await crowd._reader
