"""A whole product in this process: real mongod, real sockets, real files; the same code that `python -m server dev` runs."""

from __future__ import annotations

import functools
import json
import secrets
import socket
import tempfile
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pymongo import AsyncMongoClient

from server.config import Settings, read_settings
from server.dev.issuer import KEY_FILE, DevIssuer
from server.processes import listening, serving, working
from server.registry import Registry
from server.runtime import Runtime, open_runtime
from tests.support.http import http_client


class World:
    """One running product with a database of its own."""

    def __init__(self, settings: Settings, runtime: Runtime) -> None:
        self.settings, self.runtime = settings, runtime

    def __repr__(self) -> str:
        return f"<World {self.url}>"

    @property
    def url(self) -> str:
        """What a client is configured with."""
        return self.settings.public_url

    async def token(self, subject: str, *, admin: bool = False) -> str:
        """A development token, from the real issuer over HTTP."""
        async with http_client() as http:
            reply = await http.post(f"{self.url}/dev/token", content=json.dumps({"subject": subject, "admin": admin}))
            token: str = reply.raise_for_status().json()["token"]
            return token


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fresh_database(uri: str) -> str:
    """The same deployment, a database that nobody else uses."""
    parts = urllib.parse.urlsplit(uri)
    return parts._replace(path=f"/test_{secrets.token_hex(6)}").geturl()


def give_key(folder: Path) -> None:
    """Put a key where the development issuer looks for its own: making one takes longer than opening a product."""
    (folder / KEY_FILE).write_bytes(_key())


@functools.cache
def _key() -> bytes:
    with tempfile.TemporaryDirectory(prefix="anime-key-") as folder:
        DevIssuer.open("", Path(folder))
        return (Path(folder) / KEY_FILE).read_bytes()


@asynccontextmanager
async def open_world(mongod_uri: str, *, registry: Registry | None = None, **variables: str) -> AsyncIterator[World]:
    """Start a product on a free port. `variables` are the contract's, for example `MAX_UPLOAD_BYTES="100000"`.

    `registry` replaces the product's functions.
    """
    with tempfile.TemporaryDirectory(prefix="anime-world-") as folder:
        give_key(Path(folder))
        env = {"MONGODB_URI": fresh_database(mongod_uri), "PORT": str(free_port()), "DATA_DIR": folder, **variables}
        settings = read_settings(env, default_environment="development")
        async with (
            listening(settings) as listener,
            open_runtime(settings, registry) as runtime,
            serving(settings, runtime, listener),
            working(runtime),
        ):
            yield World(settings, runtime)
        async with AsyncMongoClient[dict[str, object]](settings.mongodb_uri) as client:
            for name in (runtime.store.database.name, runtime.vault.database_name):
                await client.drop_database(name)
