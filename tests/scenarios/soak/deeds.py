"""What goes on while the crowd watches: members draw, an administrator moderates, Clerk tells of people, writes are marked.

Each is done over whichever web process answers, and again where none does.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
from pymongo.errors import PyMongoError
from websockets.asyncio.client import ClientConnection

from schema.values import days
from server.store.codec import encode
from tests.scenarios.soak.figures import Latencies
from tests.scenarios.soak.visitor import FIRST_MARK, MARK, MARK_DIGITS, ON_A_PAGE
from tests.scenarios.stock import now, original_of, result_of
from tests.scenarios.torture_member import Member, Told, Value
from tests.support.http import http_client
from tests.support.webhooks import sign

STAGE, ADMINISTRATOR = "stage", "moderator"
CHANGED = "stage-gallery-0"
FAR = days(365)
"""The stage's pictures are featured in a year: what members feature stands behind them, and the marked one is always first."""
ON_STAGE = 3
AGAIN_S = (0.1, 0.5)
DELIVERY_S, CALL_S = 10.0, 20.0
STAY_S = (40.0, 240.0)
ACCEPTED = 202
LEAVES = 0.3
REASON = "It does not follow the rules."

Row = dict[str, Any]


# --- marked writes -----------------------------------------------------------------------------------------------


def stage(pictures: int) -> list[Row]:
    """What is on the public page when the soak begins, and the pictures that visitors have links to."""
    featured = [
        result_of(STAGE, now(), is_featured=True, featured_at=now() + FAR + ON_A_PAGE - number)
        for number in range(ON_STAGE)
    ]
    shared = [original_of(STAGE, now(), sharing_enabled=True) for _ in range(pictures)]
    names = [*(f"stage-gallery-{n}" for n in range(ON_STAGE)), *(f"stage-page-{n}" for n in range(pictures))]
    return [
        {**encode(image), "_id": name, "_creationTime": image.created_at, "placeholderBlurDataUrl": marked(FIRST_MARK)}
        for name, image in zip(names, [*featured, *shared], strict=True)
    ]


def marked(at_ns: int) -> str:
    """A placeholder that says when its write was sent."""
    return f"data:image/webp;base64,{MARK.decode()}{at_ns:0{MARK_DIGITS}}"


class Marks:
    """Writes to MongoDB that say when they were sent, at a steady pace. One that fails is sent again, as old as it is."""

    def __init__(self, images: Any) -> None:
        self._images = images
        self.failed: Counter[str] = Counter()
        self.written = 0

    async def write(self, picture: str) -> int:
        """Mark a picture; when that was sent."""
        sent = time.monotonic_ns()
        while True:
            try:
                await self._images.update_one({"_id": picture}, {"$set": {"placeholderBlurDataUrl": marked(sent)}})
            except PyMongoError as error:
                self.failed[type(error).__name__] += 1
                await asyncio.sleep(AGAIN_S[0])
            else:
                self.written += 1
                return sent

    async def steadily(self, pictures: Sequence[str], per_s: float, enough: asyncio.Event) -> None:
        """One after the other, until it is enough."""
        due, number = time.monotonic(), 0
        while not enough.is_set():
            due = max(due + 1 / per_s, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            await self.write(pictures[number % len(pictures)])
            number += 1

    async def last(self, pictures: Sequence[str]) -> int:
        """Mark all of them once more; the oldest of the marks."""
        return min([await self.write(each) for each in pictures])


# --- members -----------------------------------------------------------------------------------------------------


class SoakMember(Member):
    """A member at leisure, who now and then closes the page and opens it again."""

    def __init__(
        self, name: str, seed: int, urls: list[str], token: str, buy: Callable[[str], Awaitable[None]], *,
        pause_s: float, took: Latencies,
    ) -> None:  # fmt: skip
        super().__init__(name, seed, urls, token, buy)
        self.thinking_s = (0.0, 2 * pause_s)
        self._token, self._took = token, took

    async def soaked(self, enough: asyncio.Event) -> None:
        """Act until it is enough; what goes wrong is a complaint, and everybody else goes on."""
        try:
            await self.act(enough)
        except Exception as error:
            self.complaints.append(f"gave up: {error!r}")

    async def mutation(self, path: str, **args: Value) -> Told:
        began = time.monotonic()
        told = await super().mutation(path, **args)
        self._took.add(time.monotonic(), (time.monotonic() - began) * 1e3)
        return told

    async def _talk(self, socket: ClientConnection) -> None:
        try:
            async with asyncio.timeout(self.chance.uniform(*STAY_S)):
                await super()._talk(socket)
        except TimeoutError:
            pass


# --- people outside ----------------------------------------------------------------------------------------------


class Moderator:
    """An administrator who disables, enables and approves what is featured."""

    def __init__(self, urls: Sequence[str], token: str, chance: random.Random) -> None:
        self._urls, self._chance, self._headers = urls, chance, {"authorization": f"Bearer {token}"}
        self.did: Counter[str] = Counter()

    async def work(self, pause_s: float, enough: asyncio.Event) -> None:
        """Until it is enough."""
        async with http_client(timeout=CALL_S, headers=self._headers) as http:
            while not enough.is_set():
                await asyncio.sleep(self._chance.uniform(0, 2 * pause_s))
                try:
                    await self._one(http)
                except (httpx.HTTPError, KeyError) as error:
                    self.did[type(error).__name__] += 1

    async def _one(self, http: httpx.AsyncClient) -> None:
        page = {"paginationOpts": {"numItems": 30, "cursor": None}}
        found = (await self._call(http, "query", "admin:getAdminFeaturedImages", page))["value"]["page"]
        of_members = [each for each in found if not each["_id"].startswith(STAGE)]
        if not of_members:
            return
        image = self._chance.choice(of_members)
        deed, more = ("enable", {}) if image["isDisabledByAdmin"] else ("disable", {"reason": REASON})
        if self._chance.random() < 0.4:
            deed, more = "approve", {}
        answer = await self._call(http, "mutation", f"admin:{deed}FeaturedImage", {"imageId": image["_id"], **more})
        self.did[deed if answer["status"] == "success" else answer["errorMessage"].partition(":")[0][:40]] += 1

    async def _call(self, http: httpx.AsyncClient, kind: str, path: str, args: Row) -> Row:
        reply = await http.post(f"{self._chance.choice(self._urls)}/api/{kind}", json={"path": path, "args": args})
        answer: Row = reply.raise_for_status().json()
        return answer


class Clerk:
    """Tells of people who sign up, change their name and leave: each message twice at once, as it may be delivered."""

    def __init__(self, urls: Sequence[str], secret: str, chance: random.Random) -> None:
        self._urls, self._secret, self._chance = urls, secret, chance
        self.names: dict[str, str | None] = {}
        """By person, what they are called last; nothing for who has left."""
        self.failed = self.told = 0

    async def work(self, members: Sequence[str], pause_s: float, enough: asyncio.Event) -> None:
        """Until it is enough. Members only change their names."""
        async with http_client(timeout=DELIVERY_S) as http:
            while not enough.is_set():
                await asyncio.sleep(self._chance.uniform(0, 2 * pause_s))
                if self._chance.random() < 0.5:
                    await self._rename(http, self._chance.choice(members))
                    continue
                person = f"clerk-{len(self.names)}"
                await self._tell(http, "user.created", person, "new")
                await self._rename(http, person)
                if self._chance.random() < LEAVES:
                    await self._tell(http, "user.deleted", person, None)

    async def _rename(self, http: httpx.AsyncClient, person: str) -> None:
        await self._tell(http, "user.updated", person, f"name {self._chance.randrange(1_000_000)}")

    async def _tell(self, http: httpx.AsyncClient, kind: str, person: str, name: str | None) -> None:
        about: Row = {"id": person, "first_name": name}
        body, message_id = json.dumps({"type": kind, "data": about}).encode(), f"msg_{self._chance.getrandbits(96):x}"
        await asyncio.gather(self._deliver(http, body, message_id), self._deliver(http, body, message_id))
        self.names[person] = name
        self.told += 1

    async def _deliver(self, http: httpx.AsyncClient, body: bytes, message_id: str) -> None:
        while True:
            headers = sign(self._secret.encode(), body, message_id, time.time(), "svix")
            try:
                reply = await http.post(
                    f"{self._chance.choice(self._urls)}/webhooks/clerk", content=body, headers=headers
                )
            except httpx.HTTPError:
                self.failed += 1
            else:
                if reply.is_success:
                    return
                if reply.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                    raise AssertionError(f"a webhook of Clerk was refused: {reply.status_code} {reply.text}")
                self.failed += 1
            await asyncio.sleep(self._chance.uniform(*AGAIN_S))

    def problems(self, rows: dict[str, list[Row]]) -> list[str]:
        """Who is not called what Clerk said last, or is not gone."""
        users = {each["userId"]: each for each in rows["users"]}
        found = []
        for person, name in self.names.items():
            if (name is None) != (person not in users):
                found.append(f"{person} is called {name} by Clerk, and has {'an' if person in users else 'no'} account")
            elif name is not None and users[person].get("name") != name:
                found.append(f"{person} is called {users[person].get('name')}, and by Clerk {name}")
        left = {
            person: sum(each["amount"] for each in rows["ledger"] if each["userId"] == person) for person in self.gone
        }
        return [*found, *(f"{person} has left, and {some} credits stay" for person, some in left.items() if some)]

    @property
    def gone(self) -> set[str]:
        """Who has left."""
        return {person for person, name in self.names.items() if name is None}
