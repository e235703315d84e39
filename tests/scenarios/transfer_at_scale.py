"""`python -m tests.scenarios.transfer_at_scale`: ten thousand pictures out and in again, on a database of its own.

Prints how long each way took, how much memory the process needed at most, and how large the folder is; compares every document
and every picture. The pictures are noise of a thumbnail's size: nothing packs them smaller.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from schema.blobs import Blob
from schema.images import Image
from schema.values import Id
from server.ids import capability_id, document_id
from server.store import codec
from server.store.embedded import EmbeddedMongod
from server.store.setup import set_up
from server.transfer.choice import exported
from tests.scenarios.stock import now
from tests.scenarios.test_transfer import Place, place
from tests.support.world import fresh_database

MEMBERS = 500
AT_ONCE = 40
PICTURE_BYTES = (4_000, 40_000)


async def fill(here: Place, count: int) -> None:
    """So many pictures of many members, each with its file."""
    await set_up(here.store.database)
    chance = random.Random(0)

    async def picture(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        content, blob_id, at = chance.randbytes(chance.randint(*PICTURE_BYTES)), capability_id(), now()
        size, sha256 = await here.vault.put(blob_id, content, "image/webp")
        owner = f"member-{number % MEMBERS}"
        blob = Blob(
            id=Id(blob_id), kind="result", owner=owner, content_type="image/webp", size=size, sha256=sha256, width=96,
            height=64, placeholder="", uploaded_size=size, uploaded_content_type="image/webp", created_at=at,
            creation_time=at,
        )  # fmt: skip
        image = Image(
            id=Id(document_id(at)), body=Id(blob_id), user_id=owner, created_at=at, creation_time=at, is_generated=False
        )
        return codec.encode(blob), codec.encode(image)

    for first in range(0, count, AT_ONCE):
        rows = await asyncio.gather(*map(picture, range(first, min(first + AT_ONCE, count))))
        await here.store.database["_storage"].insert_many([blob for blob, _ in rows])
        await here.store.database["images"].insert_many([image for _, image in rows])


async def command(words: tuple[str, str], uri: str) -> str:
    """Run it as a process of its own: how long it took and its highest memory."""
    began = time.monotonic()
    env = {**os.environ, "MONGODB_URI": uri, "APP_ENV": "development"}
    started = await asyncio.create_subprocess_exec(sys.executable, "-m", "server", *words, env=env)
    status = await started.wait()
    if status:
        raise SystemExit(f"{words[0]} ended with {status}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1_024
    return f"{words[0]}: {time.monotonic() - began:.1f} s; no command so far has used more than {peak} MiB"


async def digest_of(here: Place) -> str:
    """Of every document and every picture, in order."""
    digest, last = hashlib.sha256(), ""
    for table in exported():
        async for row in here.store.database[table].find().sort("_id", 1):
            digest.update(repr(row).encode())
    while ids := await here.vault.older_than(now() + 1e9, after=last, limit=1_000):
        for blob_id in ids:
            digest.update(blob_id.encode())
            async for piece in here.vault.read(blob_id):
                digest.update(piece)
        last = ids[-1]
    return digest.hexdigest()


def sizes_below(folder: Path) -> list[int]:
    """Of every file, in bytes."""
    return [path.stat().st_size for path in folder.rglob("*") if path.is_file()]


async def round_trip(count: int, folder: Path) -> int:
    """Fill, export, import, compare; 1 where something differs."""
    async with EmbeddedMongod(folder / "mongod") as mongod:
        old_uri, new_uri = fresh_database(mongod.uri), fresh_database(mongod.uri)
        async with place(old_uri) as old, place(new_uri) as new:
            began = time.monotonic()
            await fill(old, count)
            print(f"filled with {count} pictures in {time.monotonic() - began:.1f} s", flush=True)
            print(await command(("export", str(folder / "export")), old_uri), flush=True)
            sizes = sizes_below(folder / "export")
            print(f"the folder: {len(sizes)} files, {sum(sizes) / 2**20:.1f} MiB", flush=True)
            print(await command(("import", str(folder / "export")), new_uri), flush=True)
            is_same = await digest_of(old) == await digest_of(new)
    print("every document and every picture came back as it was" if is_same else "SOMETHING DIFFERS")
    return 0 if is_same else 1


def main() -> int:
    """A round trip from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios.transfer_at_scale", description=main.__doc__)
    parser.add_argument("--pictures", type=int, default=10_000)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="anime-transfer-", ignore_cleanup_errors=True) as folder:
        return asyncio.run(round_trip(wanted.pictures, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
