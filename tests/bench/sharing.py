"""Pictures shared by their links, in the product and in Parse Server: the same act, written each in its own system's way.

An owner says until when a picture's link is good, and everybody who has the link open sees the new hour. Every write asks for
another hour, so a message says which write it shows. In the product that is `images:updateShareSettings` over HTTP (a token is
verified, the arguments are validated, one transaction checks who owns the picture and changes it and its file's row) and
`images:getImageById` at the sockets. In Parse it is an update over REST of one object without access rules, and LiveQuery with a
condition on the object's id: nobody is asked who they are, and no second row is written. The third way is a plain update of the
product's document in MongoDB, which its subscribers are shown too, and Parse's never.
"""

from __future__ import annotations

import asyncio
import os
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from server.ids import capability_id
from server.store.codec import encode
from tests.bench.crowd import Crowd, crowd
from tests.bench.posts import Posts, posts
from tests.bench.product import Product, add_query, opening
from tests.scenarios.stock import original_of
from tests.support.world import free_port, fresh_database

PEERS = Path(__file__).parent / "peers"
APPLICATION = {"X-Parse-Application-Id": "bench"}
MASTER_KEY = "bench-master"
CREATE = "POST /parse/classes/Picture"
CONNECTIONS = 32
OWNERS = 32
HOUR = 3_600_000
FIRST_HOURS = 24
BLUR = "data:image/webp;base64," + "x" * 560
"""So long a placeholder makes a shared picture about 1.2 KB."""
STARTED_MS = int(time.time() * 1_000)
MARK = '"shareExpiresAt":'

Database = AsyncDatabase[dict[str, Any]]


def turn_of(expires_ms: float) -> int:
    """The number of the write that asked for this hour; right for an hour after the start."""
    return int(expires_ms - STARTED_MS) // HOUR - FIRST_HOURS


def expiry(turn: int) -> int:
    """The hour that a write asks for, on the clock of who began: milliseconds."""
    return STARTED_MS + (FIRST_HOURS + turn) * HOUR + 1


class Shared(msgspec.Struct, frozen=True):
    """The product, where pictures are shared; `write` through its API or `update` behind its back."""

    product: Product
    images: Any
    posts: Posts
    tokens: list[str]

    def crowd(self, sockets: int, picture: str) -> AbstractAsyncContextManager[Crowd]:
        """Sockets that show a picture each."""
        shown = opening(add_query(0, "images:getImageById", f'{{"imageId":"{picture}"}}'))
        return crowd(self.product.port, sockets, openings=[shown], mark=MARK)

    async def write(self, picture: int, turn: int) -> None:
        """The owner's mutation."""
        reply = await self.posts.send(
            "POST /api/mutation",
            {"Authorization": f"Bearer {self.tokens[picture % OWNERS]}"},
            {
                "path": "images:updateShareSettings",
                "args": {"imageId": name(picture), "sharingEnabled": True, "expirationHours": FIRST_HOURS + turn},
            },
        )
        if reply["status"] != "success":
            raise RuntimeError(f"The product refused a write: {reply}")

    async def update(self, picture: int, turn: int) -> None:
        """The document, written past the product."""
        await self.images.update_one({"_id": name(picture)}, {"$set": {"shareExpiresAt": float(expiry(turn))}})

    async def newest(self) -> dict[int, int]:
        """What the database says."""
        return await _newest(self.images)


class Parse(msgspec.Struct, frozen=True):
    """A Parse Server that runs on the same mongod, and its pictures."""

    port: int
    pid: int
    pictures: Any
    posts: Posts

    def crowd(self, sockets: int, picture: str) -> AbstractAsyncContextManager[Crowd]:
        """Sockets that have subscribed to a picture each."""
        connect = '{"op":"connect","applicationId":"bench"}'
        where = f'{{"className":"Picture","where":{{"objectId":"{picture}"}}}}'
        subscribe = f'{{"op":"subscribe","requestId":1,"query":{where}}}'
        return crowd(self.port, sockets, path="/", openings=[connect, subscribe], ready=2, mark=MARK)

    async def write(self, picture: int, turn: int) -> None:
        """An update of the object."""
        await self.posts.send(
            f"PUT /parse/classes/Picture/{name(picture)}", APPLICATION, {"shareExpiresAt": expiry(turn)}
        )

    async def newest(self) -> dict[int, int]:
        """What the database says."""
        return await _newest(self.pictures)


def name(picture: int) -> str:
    """The id of a picture."""
    return f"picture-{picture}"


async def _newest(pictures: Any) -> dict[int, int]:
    found = pictures.find({}, {"shareExpiresAt": 1})
    return {int(each["_id"].split("-")[1]): turn_of(each["shareExpiresAt"]) async for each in found}


@asynccontextmanager
async def shared_in_product(product: Product, pictures: int) -> AsyncIterator[Shared]:
    """Fill it with pictures and their files' rows, of several owners: mutations of one person wait for each other."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(product.database_uri, w="majority")
    async with client, posts(product.port, CONNECTIONS) as kept:
        database = client.get_default_database()
        made = [_picture(number) for number in range(pictures)]
        await database["images"].insert_many(made)
        await database["_storage"].insert_many([_file(each) for each in made])
        tokens = [await product.token(f"owner{number}") for number in range(OWNERS)]
        yield Shared(product, database["images"], kept, tokens)


@asynccontextmanager
async def parse_server(node: str, product: Product, pictures: int) -> AsyncIterator[Parse]:
    """Start one on another database of the product's mongod, and fill it with the same pictures."""
    port, uri = free_port(), fresh_database(product.database_uri)
    env = {"PORT": str(port), "DATABASE_URI": uri, "APPLICATION": "bench", "MASTER_KEY": MASTER_KEY}
    env |= {
        "NODE_ENV": "production",
        "PARSE_SERVER_LOGS_FOLDER": "null",
    }  # it has opened its log before it reads options
    server = await asyncio.create_subprocess_exec(node, "parse.mjs", cwd=PEERS, env={**os.environ, **env}, stdout=PIPE)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(uri)
    try:
        while (line := await _line(server)) != "ready":
            if not line:
                raise RuntimeError("Parse Server did not start")
        async with client, posts(port, CONNECTIONS) as kept:
            master = APPLICATION | {"X-Parse-Master-Key": MASTER_KEY}
            await kept.send(CREATE, master, _object(0))  # alone: the first one makes the class
            await asyncio.gather(*(kept.send(CREATE, master, _object(number)) for number in range(1, pictures)))
            yield Parse(port, server.pid, client.get_default_database()["Picture"], kept)
    finally:
        server.kill()
        await server.wait()


async def _line(server: asyncio.subprocess.Process) -> str:
    if server.stdout is None:
        raise RuntimeError("Parse Server has no output")
    return (await server.stdout.readline()).decode().strip()


def _object(number: int) -> dict[str, Any]:
    fields = _picture(number).items()
    shown = {
        key: value for key, value in fields if not key.startswith("_") and key != "createdAt"
    }  # those are Parse's own
    return {**shown, "objectId": name(number)}


def _picture(number: int) -> dict[str, Any]:
    image = original_of(
        f"owner{number % OWNERS}",
        float(STARTED_MS),
        sharing_enabled=True,
        share_expires_at=float(expiry(0)),
        content_type="image/webp",
        original_width=1_600,
        original_height=1_200,
        placeholder_blur_data_url=BLUR,
    )
    return {**encode(image), "_id": name(number), "_creationTime": image.created_at}


def _file(picture: dict[str, Any]) -> dict[str, Any]:
    return {
        "_id": picture["body"], "_creationTime": picture["createdAt"], "kind": "upload", "owner": picture["userId"],
        "contentType": "image/webp", "size": 100_000, "sha256": "0" * 64, "width": 1_600, "height": 1_200,
        "placeholder": BLUR, "uploadedSize": 2_000_000, "uploadedContentType": "image/jpeg",
        "createdAt": picture["createdAt"], "claimedAt": picture["createdAt"], "grant": capability_id(),
        "publicUntil": picture["shareExpiresAt"],
    }  # fmt: skip
