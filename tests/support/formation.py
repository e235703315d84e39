"""The product as its `Procfile` starts it: in production's settings, several of each, behind a balancer.

What is not ours is a stand-in that speaks real HTTP: whoever issues tokens, draws and takes money.
"""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from pymongo import AsyncMongoClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from server.dev.issuer import DevIssuer
from tests.support.balancer import Balancer, balancing
from tests.support.gemini import MODEL, gemini_site
from tests.support.http import http_client
from tests.support.polar import PRODUCT, TOKEN, polar_site
from tests.support.processes import DEADLINE_S, ROOT, Person, Running, running_words
from tests.support.world import free_port, fresh_database, give_key
from tests.unit.server.auth.issuer_site import serving

DRAIN_S = 2
KEYS_PATH = "/.well-known/jwks.json"
SAYS = {"web": "is serving", "worker": "is waiting for jobs"}
Fields = dict[str, Any]


def procfile(root: Path = ROOT) -> dict[str, str]:
    """Its lines: what each kind of process is started with."""
    lines = (root / "Procfile").read_text().splitlines()
    return {name.strip(): words.strip() for name, _, words in (line.partition(":") for line in lines if line.strip())}


class Formation:
    """Processes on one database. Made by `open_formation`."""

    def __init__(
        self,
        client: AsyncMongoClient[Fields],
        balancer: Balancer,
        issuer: DevIssuer,
        http: httpx.AsyncClient,
        variables: Mapping[str, str],
        stack: AsyncExitStack,
    ) -> None:
        self.client, self.database, self.balancer = client, client.get_default_database(), balancer
        self._issuer, self._http, self.variables, self._stack = issuer, http, dict(variables), stack
        self.webs: dict[int, Running] = {}
        self.workers: list[Running] = []

    def __repr__(self) -> str:
        return f"<Formation of {len(self.webs)} web and {len(self.workers)} worker, {self.balancer!r}>"

    @property
    def url(self) -> str:
        """The public address."""
        return self.balancer.url

    def token(self, subject: str) -> str:
        """As the issuer signs it."""
        return self._issuer.token(subject, now=time.time() * 1_000)

    def person(self, subject: str, port: int | None = None) -> Person:
        """Somebody who calls over HTTP: the balancer, or one process."""
        return Person(self._http, self.url if port is None else f"http://127.0.0.1:{port}", self.token(subject))

    async def run(self, name: str, *more: str, root: Path = ROOT, **variables: str) -> Running:
        """A line of the Procfile, as written, in a copy of the product perhaps."""
        words = [*shlex.split(procfile(root)[name]), *more]
        return await self._stack.enter_async_context(running_words(words, root, **{**self.variables, **variables}))

    async def release(self, *more: str, root: Path = ROOT) -> tuple[int, str]:
        """What runs before new processes start; its status and all it said."""
        released = await self.run("release", *more, root=root)
        return await released.ended(), released.said

    async def web(self, root: Path = ROOT) -> int:
        """Another web process, which the balancer knows of; its port, once it is ready."""
        port = free_port()
        started = await self.run("web", root=root, PORT=str(port))
        await started.says(SAYS["web"])
        self.webs[port] = started
        self.balancer.ports.append(port)
        await self.balancer.is_sent_to(port)
        return port

    async def worker(self, root: Path = ROOT) -> Running:
        """Another worker."""
        started = await self.run("worker", root=root)
        await started.says(SAYS["worker"])
        self.workers.append(started)
        return started

    async def stop_web(self, port: int) -> Running:
        """As a supervisor stops one: the signal, and its time to go."""
        gone = self.webs.pop(port)
        gone.send(signal.SIGTERM)
        assert await gone.ended() == 0, gone.said
        self.balancer.ports.remove(port)
        return gone

    async def stop_worker(self, worker: Running) -> None:
        self.workers.remove(worker)
        worker.send(signal.SIGTERM)
        assert await worker.ended() == 0, worker.said

    async def rows(self, table: str, **wanted: Any) -> list[Fields]:
        return await self.database[table].find(wanted).to_list()

    async def at_rest(self) -> None:
        """Wait until every job that can be done now has been."""
        going_on = {"kind": "generate_image", "state": {"$in": ["queued", "leased"]}}
        async with asyncio.timeout(DEADLINE_S), await self.database["jobs"].watch() as changes:
            while await self.database["jobs"].count_documents(going_on):
                await changes.next()


@asynccontextmanager
async def open_formation(mongod_uri: str, folder: Path, **variables: str) -> AsyncIterator[Formation]:
    """A balancer, stand-ins and an empty database; nothing of the product runs yet. All of it ends with the context."""
    uri = fresh_database(mongod_uri)
    give_key(folder)
    async with (
        balancing() as balancer, gemini_site() as gemini, polar_site() as polar, AsyncMongoClient[Fields](uri) as client,
        http_client(timeout=DEADLINE_S) as http, AsyncExitStack() as sites,
    ):  # fmt: skip
        keys = DevIssuer.open("", folder).jwks()

        async def tell_keys(_: Request) -> JSONResponse:
            return JSONResponse(keys)

        clerk = await sites.enter_async_context(serving(Starlette(routes=[Route(KEYS_PATH, tell_keys)])))
        issuer = DevIssuer.open(clerk, folder)
        settings = {
            "APP_ENV": "production", "MONGODB_URI": uri, "DATA_DIR": str(folder), "PUBLIC_URL": balancer.url,
            "CLERK_JWT_ISSUER_DOMAIN": clerk, "CLERK_WEBHOOK_SECRET": "whsec_c3RhbmQtaW4=",
            "GEMINI_API_KEY": "stand-in", "GEMINI_BASE_URL": gemini.url, "GEMINI_MODEL": MODEL,
            "POLAR_ACCESS_TOKEN": TOKEN, "POLAR_PRODUCT_ID": PRODUCT, "POLAR_BASE_URL": polar.url,
            "POLAR_WEBHOOK_SECRET": "polar_whs_x", "DRAIN_S": str(DRAIN_S),
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        }  # fmt: skip
        try:
            async with AsyncExitStack() as stack:
                yield Formation(client, balancer, issuer, http, {**settings, **variables}, stack)
        finally:
            for name in (client.get_default_database().name, f"{client.get_default_database().name}_blobs"):
                await client.drop_database(name)
