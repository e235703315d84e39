"""Large photos on slow lines: many arrive at once, nobody waits for them, and no memory is held for what is on its way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

from tests.scenarios.conftest import Meet
from tests.scenarios.stock import paged
from tests.scenarios.test_credits import check_books
from tests.support import pictures
from tests.support.http import http_client
from tests.support.processes import running
from tests.support.world import World, free_port, fresh_database

PHOTO_BYTES = 20 * 1_000_000
PIECE_BYTES = 1_000_000
PIECES = PHOTO_BYTES // PIECE_BYTES
SLOW_PEOPLE = 6
PATIENCE_S = 60.0
MAX_GROWTH_BYTES = 64 << 20
"""Half of what the photos weigh together. What is kept of them is small: mostly it is padding that no decoder looks at."""
KIB = 1_024


async def photo(step: asyncio.Barrier | None = None) -> AsyncIterator[bytes]:
    """A large photo, piece by piece; with `step`, no piece comes before everybody has come there."""
    beginning, padding = pictures.jpeg(640, 480), bytes(PIECE_BYTES)
    for number in range(PIECES):
        if step is not None:
            await step.wait()
        yield beginning + padding[len(beginning) :] if number == 0 else padding


def arriving(folder: Path) -> list[int]:
    """How much has arrived of each upload that is under way."""
    return sorted(each.stat().st_size for each in folder.iterdir())


async def test_nobody_waits_for_photos_on_slow_lines(town: World, meet: Meet) -> None:
    folder = town.settings.data_dir / "uploads"
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE_S):
        ben = await stack.enter_async_context(meet("ben"))
        people = [await stack.enter_async_context(meet("ana")) for _ in range(SLOW_PEOPLE)]
        addresses = [await each.mutation("images:generateUploadUrl") for each in people]
        await ben.mutation("users:ensureUser")
        credit = await ben.watch("users:getCurrentUserCredits")
        step = asyncio.Barrier(SLOW_PEOPLE + 1)
        uploads = [
            asyncio.create_task(person.http.post(address, content=photo(step)))
            for person, address in zip(people, addresses, strict=True)
        ]

        for piece in range(PIECES):
            # All uploads stand still until ben has had his answers.
            await ben.mutation("users:ensureUser")
            assert (await ben.query_once("users:getCreditHistory", **paged(1)))["page"]
            if piece == PIECES // 2:
                await ben.photo()
                assert credit.value["credits"] == 9
                assert len(arriving(folder)) == SLOW_PEOPLE
            assert not any(each.done() for each in uploads)
            await step.wait()

        answers = await asyncio.gather(*uploads)
        assert [each.status_code for each in answers] == [200] * SLOW_PEOPLE
        assert arriving(folder) == []
        for person, answer in zip(people, answers, strict=True):
            await person.mutation("images:uploadAndScheduleGeneration", storageId=answer.json()["storageId"])
            await check_books(town, person.subject, 9)


async def test_memory_does_not_grow_with_what_arrives(mongod_uri: str, tmp_path: Path) -> None:
    port = free_port()
    variables = {
        "APP_ENV": "development", "MONGODB_URI": fresh_database(mongod_uri), "PORT": str(port), "DATA_DIR": str(tmp_path)
    }  # fmt: skip
    async with (
        running("web", **variables) as web,
        http_client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as http,
    ):
        await web.says("serving")
        reply = await http.post("/dev/token", json={"subject": "ana"})
        token = reply.raise_for_status().json()["token"]

        async def upload(content: bytes | AsyncIterator[bytes]) -> int:
            called = await http.post(
                "/api/mutation",
                json={"path": "images:generateUploadUrl", "args": {}, "format": "json"},
                headers={"Authorization": f"Bearer {token}"},
            )
            return (await http.post(called.raise_for_status().json()["value"], content=content)).status_code

        assert await upload(pictures.jpeg(640, 480)) == 200
        before = peak_bytes(web.pid)
        assert await asyncio.gather(*(upload(photo()) for _ in range(SLOW_PEOPLE))) == [200] * SLOW_PEOPLE
        assert peak_bytes(web.pid) - before < MAX_GROWTH_BYTES


def peak_bytes(pid: int) -> int:
    """The most memory that a process has held so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * KIB
