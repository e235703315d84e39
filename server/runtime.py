"""The composition root: builds everything a process needs, in order, and takes it down in reverse.

Invariant: nothing else creates clients, clocks or long-lived tasks; what is opened here is closed here, also after a failure.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pymongo import AsyncMongoClient
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from schema.deliveries import Provider
from schema.system import Vitals
from schema.values import Millis, Timestamp
from server import roles
from server.auth.clerk import TokenVerifier
from server.auth.grants import Grants, SignedCursors
from server.background import Background
from server.caller import Callers
from server.config import ConfigurationError, Settings
from server.context import Urls
from server.database import Database
from server.executor import Caller, Executor, facet
from server.feed import HubFeed
from server.fleet import Fleet
from server.functions import published
from server.keyring import shared_key
from server.limits import Limits, per_minute
from server.migrate import bring_up, check
from server.pictures.lab import PhotoLab
from server.queue_watch import QueueWatch
from server.readings import Readings
from server.registry import Registry
from server.standing import Standing
from server.store.embedded import running_uri
from server.store.gridfs import BlobVault
from server.store.migrating import Migrations
from server.store.mongo import MongoStore
from server.store.opening import open_database
from server.store.pulse import Pulse
from server.store.tail import Tail
from server.store.watch import watch_over
from server.trace_endpoint import open_tracing
from server.transfer.marker import Marker
from server.web.app import application
from server.web.blobs import blob_routes
from server.web.calls import HttpFunctions
from server.web.explain import explain_routes
from server.web.health import health_routes
from server.web.origins import Origins
from server.web.page import Site
from server.web.share import SharePage
from server.web.socket import SyncEndpoint
from server.web.webhooks import Webhooks
from server.worker import Worker
from subscriptions.hub import Hub
from subscriptions.log import Log

if TYPE_CHECKING:
    from server.tracing import Tracing

DATABASE = "anime_leak"
"""The database's name where `MONGODB_URI` names none. Blobs live in another one beside it, or every chunk would pass the feed."""
MUTATION_GRACE_S = 10.0

log = logging.getLogger("anime.start")


def clock() -> Millis:
    """The time of this machine."""
    return time.time() * 1_000


def blobs_of(store: MongoStore) -> str:
    """The name of the database that holds the blobs of this one."""
    return f"{store.database.name}_blobs"


class Runtime:
    """A running process: its database, its feed, and what it was asked to be."""

    def __init__(
        self,
        settings: Settings,
        client: AsyncMongoClient[dict[str, object]],
        store: MongoStore,
        keys: bytes,
        start: Timestamp,
        registry: Registry,
        *,
        polar_webhook_secrets: tuple[str, ...] = (),
        clerk_webhook_secrets: tuple[str, ...] = (),
        trace: Tracing | None = None,
    ) -> None:
        self.trace = trace
        self.settings = settings
        self.polar_webhook_secrets, self.clerk_webhook_secrets = polar_webhook_secrets, clerk_webhook_secrets
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.store = store
        self.database = Database(store, SignedCursors(keys), clock)
        self.vault = BlobVault(client, blobs_of(store))
        self.grants = Grants(keys)
        self.lab = PhotoLab()
        self.background = Background()
        self.pulse = Pulse(store, self.name, clock, self._vitals)
        urls = Urls(settings.public_url, self.grants, settings.allowed_origins)
        self.limits = Limits(clock, settings.redis_url)
        self.executor = Executor(registry, self.database, urls, self.limits, settings.bounds, clock, trace)
        commits = Log(start)
        self.fleet: Fleet[Caller] = Fleet(
            self.executor.evaluate,
            commits,
            redis_url=settings.redis_url,
            key=keys,
            answers_follow=(settings.public_url,),
            name=self.name,
            sockets=lambda: self.readings.sockets,
            reached=lambda ts: self.hub.alarms.reached(ts),
            spawn=self.background.spawn,
            clock=clock,
        )
        self.hub: Hub[Caller] = Hub(commits, self.fleet.evaluate, facet=facet, nudge=self.pulse.nudge, clock=clock)
        deliver = self.hub.deliver if trace is None else trace.delivering(self.hub.deliver)
        self.hub.on_push = None if trace is None else trace.pushed
        self.tail = Tail(store, start, deliver=deliver, lost=self.hub.lost)
        self.feed = HubFeed(self.database, self.hub)
        self.standing = Standing(self.feed, clock)
        self.site = Site(settings)
        self.queue = QueueWatch(self.database, clock)
        self.webhooks = Webhooks(
            self.database,
            polar_secrets=polar_webhook_secrets,
            clerk_secrets=clerk_webhook_secrets,
            product_id=settings.polar_product_id,
            clock=clock,
        )
        counting = (self.fleet, self.executor, self.limits, self.queue, self.webhooks)
        self.readings = Readings(self.name, self.hub, self.tail, self.standing, *counting, clock=clock)

    def __repr__(self) -> str:
        return f"<Runtime {self.name} {self.hub!r}>"

    async def _vitals(self) -> Vitals | None:
        return await self.readings.vitals()

    def application(self, verifier: TokenVerifier, extra: list[BaseRoute]) -> Starlette:
        """The web application of this process."""
        limits, bounds = self.limits, self.settings.bounds
        callers = Callers(verifier, limits, per_minute(bounds.failed_sign_ins_per_minute_per_address), clock)
        origins = Origins(self.settings.allowed_origins, self.settings.public_url)
        endpoint = self.readings.endpoint = SyncEndpoint(
            self.hub,
            self.executor,
            callers,
            origins,
            limits=limits,
            bounds=bounds,
            spawn=self.background.spawn,
            clock=clock,
        )
        files = blob_routes(
            database=self.database,
            vault=self.vault,
            lab=self.lab,
            grants=self.grants,
            clock=clock,
            folder=self.settings.data_dir / "uploads",
            max_upload_bytes=self.settings.max_upload_bytes,
            limits=limits,
            bounds=bounds,
        )
        functions = HttpFunctions(self.executor, callers, self.store, limits, bounds).routes()
        share = SharePage(self.site, self.executor, self.store, limits, bounds)
        told = [*health_routes(self.readings), *explain_routes(self.name, self.hub, self.grants, clock)]
        page = [share.route(), *self.site.routes()]
        routes = [*functions, *files, *self.webhooks.routes(), *told, *extra, *page]
        return application(endpoint, origins, routes, self.site.lost)

    async def heartbeat(self) -> None:
        """Keep the sockets of this process alive, for ever."""
        if self.readings.endpoint is not None:
            await self.readings.endpoint.heartbeat()

    async def drain(self) -> None:
        """Let clients go elsewhere while everything is served on, for `DRAIN_S`. Without that time they are cut off."""
        if self.readings.endpoint is not None and self.settings.drain_s:
            await self.readings.endpoint.drain(self.settings.drain_s)

    def open_worker(self) -> Worker:
        """The worker of this process."""
        worker = self.readings.worker = Worker(
            self.settings,
            self.database,
            self.feed,
            vault=self.vault,
            lab=self.lab,
            name=self.name,
            clock=clock,
            random=random.random,
        )
        return worker

    async def make_admin(self, subject: str) -> None:
        """Give the role, once."""
        await roles.grant(self.database, subject)


@asynccontextmanager
async def open_runtime(settings: Settings, registry: Registry | None = None) -> AsyncIterator[Runtime]:
    """Everything but the web server and the job loop, with the feed running. Leaves nothing behind."""
    async with (
        open_tracing(settings, f"{socket.gethostname()}-{os.getpid()}") as trace,
        open_database(settings, () if trace is None else (trace.commands,)) as client,
    ):
        store = MongoStore(client, client.get_default_database(DATABASE).name)
        if await Marker(client, blobs_of(store)).read() is not None:
            raise ConfigurationError(
                "An import into this database was begun and is not finished. Run the same python -m server import again."
            )
        migrations = Migrations(client, blobs_of(store))
        if settings.is_development:
            await bring_up(store, migrations)
        else:
            await check(store, migrations)
        keys = await shared_key(store.database, "grants", clock())
        runtime = Runtime(
            settings,
            client,
            store,
            keys,
            await store.newest(),
            registry or published(),
            polar_webhook_secrets=await _webhook_secrets(settings, store, "polar", settings.polar_webhook_secrets),
            clerk_webhook_secrets=await _webhook_secrets(settings, store, "clerk", settings.clerk_webhook_secrets),
            trace=trace,
        )
        for subject in settings.admin_user_ids:
            await runtime.make_admin(subject)
        await runtime.standing.begin()
        async with asyncio.TaskGroup() as group:
            following = (runtime.tail.run(), runtime.pulse.run(), runtime.queue.run(), runtime.standing.run())
            watching = watch_over(client, settings.mongodb_uri or running_uri(settings.data_dir) or "")
            tasks = [group.create_task(each) for each in (*following, watching)]
            try:
                yield runtime
            finally:
                await runtime.background.drain(MUTATION_GRACE_S)
                is_heard = runtime.tail.is_open
                for task in tasks:
                    task.cancel()
                await asyncio.wait(
                    tasks
                )  # nothing is delivered to a hub that is closed, and no beat follows the farewell
                if is_heard:
                    await runtime.pulse.stop()
                await runtime.hub.close()
                await runtime.lab.close()
                await runtime.limits.aclose()


async def _webhook_secrets(
    settings: Settings, store: MongoStore, provider: Provider, configured: tuple[str, ...]
) -> tuple[str, ...]:
    """What a provider signs with: as configured, or in development a secret of our own, which nobody else knows."""
    if configured or not settings.is_development:
        return configured
    return ((await shared_key(store.database, f"{provider}_webhook", clock())).hex(),)
