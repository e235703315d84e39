"""A visitor: looks at the public gallery and at one picture by its link, without an account, from wherever a line is open.

Invariant: time never goes back for a visitor: what was shown of a write stays shown, over any number of lines.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from msgspec import Raw

from subscriptions.client import ClientMachine
from subscriptions.errors import RemoteProtocolError
from subscriptions.events import AuthRejected, ClientEvent, Fatal, QueryChanged, Trouble
from subscriptions.version import START
from tests.scenarios.soak.figures import Latencies
from tests.scenarios.soak.line import Line, Refused

GALLERY, PAGE = "images:getPublicGallery", "images:getImageById"
ON_A_PAGE = 12
ASKED = {"paginationOpts": {"numItems": ON_A_PAGE, "cursor": None}}
"""A page that has become so much longer than it was asked for is asked for anew, as `usePaginatedQuery` splits it."""
TOO_LONG = 2 * ON_A_PAGE
MARK = b"t0="
MARK_DIGITS = 20
"""Nanoseconds on the monotonic clock of this machine, when a write was sent: it stands in what the write is shown as."""
FIRST_MARK = 1
"""What everything is marked with before anybody came."""
OPENING_S = 20.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 8.0
NS_PER_S = 1e9
MAX_TOLD = 50


class Seen:
    """What all visitors of a process saw, counted."""

    def __init__(self) -> None:
        self.pushes = {GALLERY: Latencies(), PAGE: Latencies()}
        self.late = Latencies()
        """Writes that were first seen on the next line, because the last one was lost."""
        self.openings, self.returns = Latencies(), Latencies()
        """From opening a line, and from having lost one, to the first answers."""
        self.troubles: Counter[str] = Counter()
        self.problems: list[str] = []
        self.online = 0

    def broken(self, problem: str) -> None:
        """A promise was broken; only so many are told in full."""
        if len(self.problems) < MAX_TOLD:
            self.problems.append(problem)


def mark_of(answer: Raw | Trouble | None) -> int:
    """When the write was sent that an answer shows last; 0 before any."""
    text = bytes(answer) if isinstance(answer, Raw) else b""
    at = text.find(MARK)
    return int(text[at + len(MARK) : at + len(MARK) + MARK_DIGITS]) if at >= 0 else 0


class Visitor:
    """One visitor. `picture` is the id of the one they look at."""

    def __init__(self, chance: random.Random, picture: str, ports: Sequence[int], seen: Seen) -> None:
        self._chance, self._ports, self._seen, self.picture = chance, ports, seen, picture
        self.machine = ClientMachine(UUID(int=chance.getrandbits(128)))
        self.gallery, _ = self.machine.subscribe(GALLERY, ASKED)
        self.page, _ = self.machine.subscribe(PAGE, {"imageId": picture})
        self._marks = {GALLERY: 0, PAGE: 0}
        self._line: Line | None = None
        self._since = time.monotonic()
        self._is_return = False
        self._living: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Visitor of {self.picture}, {self.machine!r}>"

    def come(self) -> None:
        """Be there, from now until `leave`."""
        self._is_return = False
        self._living = asyncio.create_task(self._live())

    async def leave(self) -> None:
        """Close the page. What was shown is remembered, should they come again."""
        if self._living is not None:
            self._living.cancel()
            await asyncio.wait((self._living,))
            self._living = None

    def shows(self, mark: int) -> bool:
        """Have both answers reached this write?"""
        answers = (self.machine.answer(each) for each in (self.gallery, self.page))
        return all(mark_of(each) >= mark for each in answers)

    async def _live(self) -> None:
        pause_s = FIRST_PAUSE_S
        self._since = time.monotonic()
        while True:
            try:
                line = await self._open()
            except (OSError, Refused, TimeoutError) as error:
                words = str(error) if isinstance(error, Refused) else type(error).__name__
                self._seen.troubles[f"not opened: {words}"] += 1
                await asyncio.sleep(self._chance.uniform(0.5, 1.5) * pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            self._line, pause_s = line, FIRST_PAUSE_S
            self._seen.online += 1
            line.send(self.machine.connect())
            try:
                self._seen.troubles[f"ended: {await line.closed}"] += 1
            finally:
                line.leave()
                self._seen.online -= 1
                self._line = None
                self.machine.disconnect()
            self._is_return, self._since = True, time.monotonic()
            await asyncio.sleep(self._chance.uniform(0, FIRST_PAUSE_S))

    async def _open(self) -> Line:
        port = self._chance.choice(self._ports)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(OPENING_S):
            _, line = await loop.create_connection(lambda: Line(port, self._hear), "127.0.0.1", port)
            try:
                await line.opened
            except BaseException:
                line.abort()
                raise
        return line

    def _hear(self, text: bytes) -> None:
        now, is_first = time.monotonic_ns(), self.machine.version == START
        try:
            events = self.machine.receive(text)
        except RemoteProtocolError as error:
            self._seen.broken(f"the server broke the protocol: {error}")
            self._drop()
            return
        for event in events:
            self._heed(event, now, is_first)
        if is_first and self.machine.version != START:
            kind = self._seen.returns if self._is_return else self._seen.openings
            kind.add(now / NS_PER_S, now / 1e6 - self._since * 1e3)

    def _heed(self, event: ClientEvent, now: int, is_first: bool) -> None:
        match event:
            case QueryChanged(query_id, Raw() as answer):
                path = PAGE if query_id == self.page else GALLERY
                mark, before = mark_of(answer), self._marks[path]
                self._marks[path] = max(mark, before)
                if mark < before:
                    self._seen.broken(f"{path} went back from the write at {before} to the one at {mark}")
                elif before and mark > before:
                    kind = self._seen.late if is_first else self._seen.pushes[path]
                    kind.add(now / NS_PER_S, (now - mark) / 1e6)
                if path == GALLERY and bytes(answer).count(b'"_id"') > TOO_LONG:
                    self._ask_anew()
            case QueryChanged(_, Trouble() as trouble):
                self._seen.troubles[f"shown: {trouble.message[:80]}"] += 1
            case AuthRejected(sentence) | Fatal(sentence):
                self._seen.broken(f"a visitor was turned away: {sentence}")
            case _:
                pass

    def _ask_anew(self) -> None:
        frames = self.machine.unsubscribe(self.gallery)
        self.gallery, more = self.machine.subscribe(GALLERY, ASKED)
        if self._line is not None:
            self._line.send([*frames, *more])

    def _drop(self) -> None:
        if self._line is not None:
            self._line.abort()
