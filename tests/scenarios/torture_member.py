"""A member under torture: uploads, deletes, retries and features at random, over whichever web process lives.

Invariant: `told` holds every answer to a mutation, once; what has no answer is sent again over the next socket under the
same session and number, as the npm client does.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias
from uuid import UUID

import httpx
import msgspec
from msgspec import Raw
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from subscriptions.client import ClientMachine
from subscriptions.errors import RemoteProtocolError
from subscriptions.events import Advanced, AuthRejected, ClientEvent, Fatal, MutationSettled, Trouble
from tests.support.http import http_client
from tests.support.pictures import jpeg

Value: TypeAlias = Any

CONNECT_S = 10.0
ANSWER_S = 120.0
"""Longer than any outage the torture causes; whoever waits longer has been forgotten."""
RECONNECT_S = (0.02, 0.3)
THINKING_S = (0.0, 0.4)
TRIES = 6
FREE_CREDITS = 3
"""Whoever has no more than this buys."""
ON_A_WHIM = 0.08
MAX_WAITING = 8
"""Who waits for so many drawings uploads no more for now, so that the queue ends."""
REQUEST = re.compile(r"\[Request ID.*?\]")
UNCERTAIN = ("CONFLICT", "[Request ID")
GALLERY = {"paginationOpts": {"numItems": 20, "cursor": None}}
SCREENS: dict[str, dict[str, Value]] = {
    "users:getCurrentUserCredits": {},
    "images:getGalleryImagesPaginated": GALLERY,
    "images:getGalleryImagesCount": {},
    "images:getFailedImages": {},
}


class Told(msgspec.Struct, frozen=True):
    """What a member was told about a mutation."""

    request_id: int
    path: str
    args: dict[str, Value]
    outcome: Raw | Trouble

    @property
    def succeeded(self) -> bool:
        """Was it acknowledged?"""
        return isinstance(self.outcome, Raw)

    @property
    def gist(self) -> str:
        """A refusal's words, without what differs each time; empty where there was none."""
        return REQUEST.sub("[Request ID]", self.outcome.message) if isinstance(self.outcome, Trouble) else ""


class Member:
    """One person with one session."""

    def __init__(
        self, name: str, seed: int, urls: list[str], token: str, buy: Callable[[str], Awaitable[None]]
    ) -> None:
        self.name, self._urls, self._buy = name, urls, buy
        self.chance = random.Random(f"{seed} {name}")
        self.session = UUID(int=self.chance.getrandbits(128))
        self.machine = ClientMachine(self.session)
        self.machine.authenticate(token)
        self.screens = {path: self.machine.subscribe(path, args)[0] for path, args in SCREENS.items()}
        self.credits, self.gallery, self.count, self.failed = self.screens.values()
        self._settled: dict[int, asyncio.Future[Raw | Trouble]] = {}
        self._out: asyncio.Queue[bytes] = asyncio.Queue()
        self.told: list[Told] = []
        self.uploads: set[str] = set()
        self.bodies: dict[str, str] = {}
        self.deleting: set[str] = set()
        self.robbed: set[str] = set()
        self.featured: dict[str, bool | None] = {}
        self.complaints: list[str] = []
        self.thinking_s = THINKING_S
        self.sockets = self.newest = 0
        self.uploading: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Member {self.name}, {len(self.told)} answers over {self.sockets} sockets, {self.machine!r}>"

    # --- the line -----------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Stay connected to some web process, for ever."""
        while True:
            url = self.chance.choice(self._urls).replace("http", "ws", 1)
            try:
                socket = await connect(
                    f"{url}/api/1.48.0/sync", proxy=None, compression=None, max_size=None, open_timeout=CONNECT_S
                )
            except (OSError, InvalidHandshake, InvalidMessage, TimeoutError, ConnectionClosed):
                await asyncio.sleep(self.chance.uniform(*RECONNECT_S))
                continue
            self.sockets += 1
            async with socket:
                await self._talk(socket)

    async def _talk(self, socket: ClientConnection) -> None:
        self._out = asyncio.Queue()
        self._say(self.machine.connect())
        speaking = asyncio.create_task(self._speak(socket, self._out))
        try:
            async for frame in socket:
                for event in self.machine.receive(frame if isinstance(frame, bytes) else frame.encode()):
                    self._heed(event)
        except ConnectionClosed:
            pass
        except RemoteProtocolError as error:
            self.complaints.append(f"the server broke the protocol: {error}")
        finally:
            speaking.cancel()
            self.machine.disconnect()

    async def _speak(self, socket: ClientConnection, out: asyncio.Queue[bytes]) -> None:
        with suppress(ConnectionClosed):
            while True:
                await socket.send((await out.get()).decode())

    def _say(self, frames: list[bytes]) -> None:
        for frame in frames:
            self._out.put_nowait(frame)

    def _heed(self, event: ClientEvent) -> None:
        match event:
            case MutationSettled(request_id, outcome):
                settled = self._settled.pop(request_id)
                if not settled.done():  # who gave up has said so
                    settled.set_result(outcome)
            case Advanced(version):
                if version.ts < self.newest:
                    self.complaints.append(f"time went back from {self.newest} to {version.ts}")
                self.newest = version.ts
            case AuthRejected(sentence) | Fatal(sentence):
                self.complaints.append(f"turned away: {sentence}")

    async def mutation(self, path: str, **args: Value) -> Told:
        """Ask, however long it takes."""
        request_id, frames = self.machine.mutation(path, args)
        settled = self._settled[request_id] = asyncio.get_running_loop().create_future()
        self._say(frames)
        try:
            async with asyncio.timeout(ANSWER_S):
                told = Told(request_id, path, args, await settled)
        except TimeoutError:
            raise AssertionError(f"no answer to {path} {args} within {ANSWER_S} s: {self!r}") from None
        self.told.append(told)
        return told

    def shown(self, query_id: int) -> Value:
        """What a screen shows; None before it shows anything."""
        answer = self.machine.answer(query_id)
        if isinstance(answer, Trouble):
            self.complaints.append(f"a screen shows {answer.message}")
        return json.loads(bytes(answer)) if isinstance(answer, Raw) else None

    # --- what a member does -------------------------------------------------------------------------------

    async def act(self, enough: asyncio.Event) -> None:
        """Do this and that until it is enough."""
        actions = (self.upload, self.delete, self.retry, self.feature)
        async with http_client(timeout=CONNECT_S * 3) as http:
            while not enough.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.chance.uniform(*self.thinking_s)):
                        await enough.wait()
                balance = (self.shown(self.credits) or {"credits": 0})["credits"]
                if balance <= FREE_CREDITS or self.chance.random() < ON_A_WHIM:
                    await self._buy(self.name)
                for image in self._page():
                    self.bodies[image["_id"]] = image["body"]
                await self.chance.choices(actions, weights=(6, 2, 3, 1))[0](http)

    async def upload(self, http: httpx.AsyncClient) -> None:
        """Upload a photo and have it drawn; ask again where the answer is to try again."""
        if sum(not each["isGenerated"] for each in self._page()) >= MAX_WAITING:
            return
        asked = await self.mutation("images:generateUploadUrl")
        if not isinstance(asked.outcome, Raw):
            return
        path = httpx.URL(json.loads(bytes(asked.outcome))).raw_path.decode()
        try:
            reply = await http.post(
                f"{self.chance.choice(self._urls)}{path}", content=jpeg(), headers={"content-type": "image/jpeg"}
            )
        except httpx.HTTPError as error:
            self.uploading[type(error).__name__] += 1
            return
        self.uploading[str(reply.status_code)] += 1
        if reply.status_code != 200:
            return
        storage_id: str = reply.json()["storageId"]
        self.uploads.add(storage_id)
        for _ in range(TRIES):
            paid = await self.mutation("images:uploadAndScheduleGeneration", storageId=storage_id)
            if isinstance(paid.outcome, Raw):
                self.bodies[json.loads(bytes(paid.outcome))] = storage_id
                return
            if not paid.gist.startswith(UNCERTAIN):
                return

    async def delete(self, _: httpx.AsyncClient) -> None:
        """Delete something, finished or not, with its results or without."""
        image = self._some([*self._page(), *(self.shown(self.failed) or ())])
        if image is None:
            return
        self.deleting.add(image["_id"])
        if "originalImageId" in image:
            self.robbed.add(image["originalImageId"])
        with_results = self.chance.random() < 0.5
        if with_results:
            self.robbed.add(image["_id"])
        await self.mutation("images:deleteImage", imageId=image["_id"], includeGenerated=with_results)

    async def retry(self, _: httpx.AsyncClient) -> None:
        """Have something drawn again that failed."""
        image = self._some(self.shown(self.failed) or [])
        if image is not None:
            await self.mutation("images:retryOriginal", imageId=image["_id"])

    async def feature(self, _: httpx.AsyncClient) -> None:
        """Put a result on the wall or take it down."""
        image = self._some([each for each in self._page() if each.get("isGenerated")])
        if image is not None:
            wanted = self.chance.random() < 0.7
            told = await self.mutation("images:updateFeaturedStatus", imageId=image["_id"], isFeatured=wanted)
            self.featured[image["_id"]] = wanted if told.succeeded else None

    def _page(self) -> list[Value]:
        page: list[Value] = (self.shown(self.gallery) or {"page": []})["page"]
        return page

    def _some(self, images: list[Value]) -> Value:
        left = [each for each in images if each["_id"] not in self.deleting]
        return self.chance.choice(left) if left else None
