"""The generated Python client, checked by mypy and used against the real server, over a wire that is cut."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from schema.blobs import Blob
from schema.images import Image
from schema.values import Id
from schema.writer import Writer
from server.codegen.writing import generate
from tests.support.proxy import Proxy
from tests.support.world import World
from tests.wire.story import ROOT, telling
from tests.wire.test_codegen import run

SOURCES = Path(__file__).parent / "types" / "python"
ERROR = re.compile(r"^(?P<file>\w+\.py):(?P<line>\d+): error: .*\[(?P<code>[\w-]+)\]$", re.MULTILINE)
EXPECTED = re.compile(r"# error: (?P<code>[\w-]+)$")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a freshly generated client, and programs that use it."""
    folder = tmp_path_factory.mktemp("programs")
    generate(None, folder / "anime_leak_client.py", None)
    for source in SOURCES.glob("*.py.in"):
        shutil.copy(source, folder / source.stem)
    return folder


async def test_the_type_checker_sees_what_is_right_and_what_is_wrong(programs: Path) -> None:
    command = ("env", f"MYPYPATH={ROOT}", sys.executable, "-m", "mypy", "--strict", "--hide-error-context", ".")
    _, output = await run(*command, folder=programs)
    found = {(each["file"], int(each["line"]), each["code"]) for each in ERROR.finditer(output)}
    marked = {
        ("misuse.py", number, each["code"])
        for number, line in enumerate((programs / "misuse.py").read_text().splitlines(), 1)
        if (each := EXPECTED.search(line))
    }
    assert marked
    assert found == marked, output


async def test_the_client_is_laid_out_as_the_formatter_would(programs: Path) -> None:
    command = (sys.executable, "-m", "ruff", "format", "--line-length", "120", "--diff", "anime_leak_client.py")
    status, output = await run(*command, folder=programs)
    assert status == 0, output


async def test_a_program_on_a_bad_wire(programs: Path, world: World, proxy: Proxy, subject: str) -> None:
    async def draw(db: Writer) -> Image:
        return await db.insert(
            Image(body=Id[Blob]("body"), created_at=1.0, user_id=subject, is_generated=True, original_size_bytes=7)
        )

    image, _ = await world.runtime.database.transact(draw)
    address = f"{world.url}/api/storage/body"
    facts = {
        "url": proxy.url,
        "subject": subject,
        "token": await world.token(subject),
        "admin": await world.token(f"{subject}-admin", admin=True),
    }
    path = os.pathsep.join((str(programs), str(ROOT)))
    story_at = str(programs / "story.py")
    async with telling("the program", "env", f"PYTHONPATH={path}", sys.executable, story_at, **facts) as story:
        assert await story.hear("wall") == {"said": "wall", "urls": [], "done": True}

        async def feature(db: Writer) -> None:
            await db.patch(await db.need(Image, image.id), is_featured=True, featured_at=2.0)

        await world.runtime.database.transact(feature)
        shown = await story.hear("wall")
        assert (shown["urls"], shown["done"]) == ([address], True)
        story.tell("go on")
        assert (await story.hear("featured"))["ids"] == [image.id]

        balance = await story.hear("balance")
        assert balance == {"said": "balance", "credits": 10, "trial": True}
        assert (await story.hear("watched"))["seen"] == [10, 15]
        history = await story.hear("history")
        assert history["kinds"] == ["adjustment", "trial"]
        assert history["done"] == [False, True]
        assert await story.hear("settings") == {"said": "settings", "price": 500, "by": None}
        assert await story.hear("shared") == {"said": "shared", "user": subject, "expires": True, "hidden": None}

        refused = [await story.hear("refused") for _ in range(6)]
        assert [each["code"] for each in refused] == [
            *("UNAUTHENTICATED", "UNAUTHENTICATED", "NOT_FOUND", "VALIDATION", "InvalidCursor", "INSUFFICIENT_CREDITS"),
        ]
        assert refused[3]["field"] == "paginationOpts.numItems"
        assert (refused[5]["needed"], refused[5]["available"]) == (1000, 15)
        assert (await story.hear("no session"))["session"] is None

        await story.hear("the wire may be cut")
        before = proxy.connections
        proxy.unplug()
        story.tell("go on")
        await proxy.connected(before + 1)
        proxy.plug()
        while (shown := await story.hear("wall"))["urls"]:
            assert shown["urls"] == [address]
        assert (await story.hear("back"))["urls"] == []
        assert (await story.hear("signed out"))["why"]
        assert await story.hear("closed") == {"said": "closed", "why": "The client was closed.", "server": False}
