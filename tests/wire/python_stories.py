"""Stories told with the published Python clients, each in a process of its own because their calls hold the GIL.

`python -m tests.wire.python_stories <story> <json>` says JSON lines, on which the test that started it asserts.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
import traceback
import urllib.request
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from convex import ConvexClient, ConvexError, ConvexInt64
from convex.http_client import ConvexHttpClient

TIMEOUT_S = 20

PATIENCE = 20
LONG = 6 << 20
NOTES = "playground:notes"
CREDITS = "users:getCurrentUserCredits"
WHO_AM_I = "playground:whoAmI"
NO_IMAGE: dict[str, Any] = {"imageId": "nope", "isFeatured": True}

VALUES: dict[str, Any] = {
    "null": None,
    "yes": True,
    "zero": 0.0,
    "whole": 10.0,
    "negative zero": -0.0,
    "not a number": math.nan,
    "infinity": math.inf,
    "negative infinity": -math.inf,
    "tenth": 0.1,
    "beyond": 2.0**60,
    "int64": ConvexInt64(123),
    "least": ConvexInt64(-(2**63)),
    "most": ConvexInt64(2**63 - 1),
    "bytes": bytes(range(256)),
    "text": 'Zażółć 🦊 \u2028 "\\',
    "list": [1.0, [ConvexInt64(2), [None, -0.0]], {}],
    "object": {" ~": 1.0, "a": {"b": {"c": [math.inf]}}},
}


class Told(msgspec.Struct, frozen=True):
    """What the test tells a story at its start."""

    url: str
    site: str
    subject: str


def say(said: str, **more: object) -> None:
    """One line for the test."""
    print(json.dumps({"said": said, **more}), flush=True)


def hear(word: str) -> None:
    """Wait for this word of the test."""
    heard = sys.stdin.readline().strip()
    if heard != word:
        raise AssertionError(f"expected {word}, heard {heard}")


def fresh_token(told: Told) -> str:
    """A token of the development issuer."""
    body = json.dumps({"subject": told.subject}).encode()
    with urllib.request.urlopen(f"{told.site}/dev/token", body, TIMEOUT_S) as reply:
        token: str = json.load(reply)["token"]
        return token


def outcome(call: Callable[[], object]) -> dict[str, object]:
    """What became of a call, in words."""
    try:
        return {"value": call()}
    except ConvexError as error:
        return {"error": "ConvexError", "message": str(error), "data": error.data}
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}


async def seen(values: AsyncIterator[Any], holds: Callable[[Any], bool]) -> Any:
    """The first of the values for which it holds."""
    async with asyncio.timeout(TIMEOUT_S):
        while not holds(value := await anext(values)):
            pass
        return value


async def first_failure(values: AsyncIterator[Any]) -> object:
    """What a subscription says first, which is a refusal."""
    try:
        return {"value": await anext(values)}
    except ConvexError as error:
        return {"data": error.data}


async def subscriptions(told: Told) -> None:
    """Subscriptions, mutations and errors over the socket."""
    client = ConvexClient(told.url)
    say("as nobody", who=client.query(WHO_AM_I), credits=outcome(lambda: client.query(CREDITS)))
    balance, who = client.subscribe(CREDITS), client.subscribe(WHO_AM_I)
    say("failing subscription", first=await first_failure(balance))
    client.set_auth(fresh_token(told))
    together = client.watch_all()
    first = await seen(balance, lambda _: True)
    client.mutation("users:ensureUser")
    say("after ensureUser", first=first, query=client.query(CREDITS), now=await seen(balance, lambda v: v != first))
    client.mutation("users:ensureUser")
    both = await seen(together, lambda values: len(values) == 2 and values[balance.id]["credits"] == 10)
    say("watched together", credits=both[balance.id], who=both[who.id])
    say(
        "failing",
        missing=outcome(lambda: client.mutation("images:updateFeaturedStatus", NO_IMAGE)),
        wrong=outcome(lambda: client.mutation("images:updateFeaturedStatus", {"imageId": 5, "isFeatured": True})),
        broken=outcome(lambda: client.mutation("playground:noteAndBreak", {"text": "never"})),
        unknown=outcome(lambda: client.mutation("images:nope")),
        unknownQuery=outcome(lambda: client.query("images:nope")),
        refusedAction=outcome(lambda: client.action("playground:refuse")),
        brokenAction=outcome(lambda: client.action("playground:breakDown")),
    )
    say("still usable", action=client.action("playground:noteByAction", {"text": "one"}))
    texts = [f"note {number}" for number in range(5)]
    say("own writes", own=[client.mutation("playground:note", {"text": text}) in client.query(NOTES) for text in texts])
    say("blocking iterator", newest=next(client.subscribe(NOTES)))
    balance.unsubscribe()
    client.clear_auth()
    say("signed out", who=await seen(who, lambda value: value is None), query=client.query(WHO_AM_I))


async def reconnect(told: Told) -> None:
    """A subscription survives the wire; what is asked for offline happens later."""
    client = ConvexClient(told.url)
    client.set_auth(fresh_token(told))
    notes = client.subscribe(NOTES)
    client.mutation("playground:note", {"text": "before"})
    await seen(notes, lambda value: value == ["before"])
    say("ready")
    hear("cut")
    say("reconnected", notes=await seen(notes, lambda value: "meanwhile" in value))
    say("written", note=client.mutation("playground:note", {"text": "after"}), notes=client.query(NOTES))
    hear("unplugged")
    say("asking offline")
    note = asked_offline(client, "offline")
    say("answered later", note=note, notes=await seen(notes, lambda value: "offline" in value))


async def restart(told: Told) -> None:
    """The server goes away and comes back."""
    client = ConvexClient(told.url)
    client.set_auth(fresh_token(told))
    notes = client.subscribe(NOTES)
    await seen(notes, lambda value: value == ["before"])
    say("ready")
    hear("back")
    await seen(notes, lambda value: "while it is away" in value)
    client.mutation("playground:note", {"text": "after"})
    say("back", notes=await seen(notes, lambda value: "after" in value))


async def habits(told: Told) -> None:
    """What this client does in a way of its own: spellings, failures, and requests that are sent twice."""
    client = ConvexClient(told.url)
    client.set_auth(fresh_token(told))
    notes = client.subscribe("playground.js:notes")
    say(
        "failed",
        refused=outcome(lambda: client.mutation("playground:noteAndRefuse", {"text": "never"})),
        broken=outcome(lambda: client.mutation("playground:noteAndBreak", {"text": "never"})),
        notes=client.query(NOTES),
    )
    say("long", length=len(client.query("playground:long", {"length": float(LONG)})))
    text = "x" * (LONG // 2)
    say("large", same=client.query("playground:echo", {"value": text}) == text)
    say("acting")
    say("acted", outcome=outcome(lambda: client.action("playground:waitAtGate", {"gate": told.subject})))
    say("asking")
    hear("held")
    answer = client.mutation("playground:note", {"text": "twice"})
    say("answered", answer=answer, notes=await seen(notes, lambda value: "twice" in value))


def asked_offline(client: ConvexClient, text: str) -> object:
    """Ask until the client has an answer: it now and then drops what is asked while it reconnects ("channel closed")."""
    for _ in range(PATIENCE):
        try:
            return client.mutation("playground:note", {"text": text})
        except Exception as error:
            if "channel closed" not in str(error):
                raise
    raise RuntimeError("the client has dropped every request")


async def refused(told: Told) -> None:
    """A token that is never accepted makes the client try again and again; it is not stuck."""
    client = ConvexClient(told.url)
    client.set_auth("no token at all")
    subscription = client.subscribe(WHO_AM_I)
    say("trying")
    hear("enough")
    client.clear_auth()
    say("as nobody", who=await seen(subscription, lambda _: True), query=client.query(WHO_AM_I))
    client.set_auth(fresh_token(told))
    say("as somebody", who=await seen(subscription, lambda value: value == told.subject))


async def http(told: Told) -> None:
    """The HTTP client."""
    client = ConvexHttpClient(f"{told.url}/")
    say("as nobody", who=client.query(WHO_AM_I), credits=outcome(lambda: client.query(CREDITS)))
    client.set_auth(fresh_token(told))
    client.mutation("users:ensureUser")
    say(
        "calls",
        credits=client.query(CREDITS),
        half=client.query("playground:half", {"of": 20.0}),
        negative_zero=repr(client.query("playground:half", {"of": -0.0})),
        mutation=client.mutation("playground:note", {"text": "by http"}),
        action=client.action("playground:noteByAction", {"text": "by action"}),
    )
    say(
        "failing",
        missing=outcome(lambda: client.mutation("images:updateFeaturedStatus", NO_IMAGE)),
        broken=outcome(lambda: client.mutation("playground:noteAndBreak", {"text": "never"})),
        unknown=outcome(lambda: client.query("images:nope")),
    )
    client.set_auth("no token at all")
    say("unauthorised", outcome=outcome(lambda: client.query(WHO_AM_I)))


async def values(told: Told) -> None:
    """Every value there and back again."""
    socket, plain = ConvexClient(told.url), ConvexHttpClient(told.url)
    ways: dict[str, Callable[[Any], Any]] = {
        "query": lambda value: socket.query("playground:echo", {"value": value}),
        "mutation": lambda value: socket.mutation("playground:echoByMutation", {"value": value}),
        "action": lambda value: socket.action("playground:echoByAction", {"value": value}),
        "http query": lambda value: plain.query("playground:echo", {"value": value}),
        "http mutation": lambda value: plain.mutation("playground:echoByMutation", {"value": value}),
    }
    changed = [
        f"{name} by {way}: {back!r}"
        for way, call in ways.items()
        for name, value in VALUES.items()
        if repr(back := call(value)) != repr(value)
    ]
    say("echoed", changed=changed)
    made = [socket.query("playground:curiosities"), plain.query("playground:curiosities")]
    say("made by the server", values=[repr(sorted(each.items())) for each in made])


STORIES = {story.__name__: story for story in (subscriptions, reconnect, restart, habits, refused, http, values)}


def main() -> None:
    """Tell one story."""
    name, told = sys.argv[1:]
    try:
        asyncio.run(STORIES[name](msgspec.json.decode(told, type=Told)))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    # The client has no way to be closed, and its threads do not end by themselves.
    os._exit(0)


if __name__ == "__main__":
    main()
