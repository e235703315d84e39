"""The published React hooks and the helpers of servers that render pages, against the real server."""

from __future__ import annotations

from itertools import groupby

from tests.support.proxy import Proxy
from tests.support.world import World
from tests.wire.conftest import Teller, write_notes
from tests.wire.playground import gates

INVALID_CURSOR = {"isConvexSystemError": True, "paginationError": "InvalidCursor"}
NOBODY = {"code": "UNAUTHENTICATED", "message": "Please sign in first."}


async def test_hooks_from_signing_in_to_leaving(npm: Teller, world: World, proxy: Proxy, subject: str) -> None:
    gate = gates[subject]
    async with npm("react", url=proxy.url, gate=subject) as story:
        signed_in = await story.hear("signed in")
        assert signed_in["first"] == {"auth": "loading", "who": "loading", "notes": "loading"}
        assert signed_in["auth"] == ["loading", "member"]
        assert signed_in["whos"] == ["loading", subject]  # never the answer for nobody
        assert signed_in["opening"] == ["Connect", "Authenticate", "ModifyQuerySet"]
        assert signed_in["adds"] == 1

        assert (await story.hear("hoping"))["page"] == "hoping for a1"
        gate.open()
        come_true = await story.hear("come true")
        assert come_true["notes"] == [["hoping for a"], ["a"]]
        assert come_true["page"] == "a1"
        refused = await story.hear("refused")
        assert refused["refused"]["data"] == {"code": "CONFLICT", "message": "There are notes enough."}
        assert refused["notes"] == ["a"]
        assert await story.hear("without effect") == {"said": "without effect", "screens": 0, "transitions": 1}
        acted = await story.hear("acted")
        assert acted["acted"] == ["a", "by action"]
        assert acted["failed"]["data"] == {"code": "CONFLICT", "message": "Not today."}
        beside = await story.hear("beside it")
        assert beside["preloaded"] == "a,by action"
        assert beside["named"] == "Error"
        assert "Could not find public function" in beside["error"]

        await story.hear("ready")
        proxy.unplug()
        await write_notes(world, subject, "meanwhile")
        proxy.plug()
        story.tell("cut")
        back = await story.hear("reconnected")
        assert back["auth"] == ["member"]
        assert back["who"] == [subject]
        assert back["notes"] == [["a", "by action"], ["a", "by action", "meanwhile"]][-len(back["notes"]) :]
        proxy.hold()
        story.tell("unanswered")
        await story.hear("asked")
        await proxy.holding()
        proxy.cut()
        answered = await story.hear("answered")
        assert answered["answered"] == {"value": "unanswered"}
        known = ["a", "by action", "meanwhile"]
        hoped, came_true = [*known, "hoping for unanswered"], [*known, "unanswered"]
        # On a new socket the effect may be shown before the answer is repeated, and then beside the hope.
        both = [*came_true, "hoping for unanswered"]
        assert [each for each in answered["notes"] if each not in (known, both)] == [hoped, came_true]
        assert gate.entries == 2

        signed_out = await story.hear("signed out")
        assert (signed_out["token"], signed_out["notes"]) == ("None", "loading")
        without = await story.hear("without a token")
        assert (without["forced"], without["authenticates"]) == ([False, True], 0)
        forged_once = await story.hear("forged once")
        assert forged_once["forced"] == [False, True]
        assert forged_once["errors"] == 1
        assert forged_once["data"] == NOBODY
        assert forged_once["credits"] == "credits: 10"
        assert (await story.hear("left"))["fatal"] == 0


def consecutive(screens: list[list[str]], *orders: str) -> bool:
    """Each screen is the beginning of one of these orders: without gap, without duplicate."""
    return all(any(order.startswith(rows) for order in orders) for rows, _ in screens)


async def test_paginated_queries_on_a_page(npm: Teller, world: World, proxy: Proxy, subject: str) -> None:
    async with npm("pages_of_react", url=proxy.url) as story:
        loaded = await story.hear("loaded")
        statuses = [status for status, _ in groupby(loaded["statuses"])]
        assert statuses == ["LoadingFirstPage", "CanLoadMore", "LoadingMore", "CanLoadMore", "LoadingMore", "Exhausted"]
        assert loaded["plain"] == ["5", "4"]
        assert (await story.hear("changed"))["plain"] == ["6", "5"]

        proxy.unplug()
        await write_notes(world, subject, "7")
        proxy.plug()
        story.tell("cut")
        back = await story.hear("reconnected")
        assert back["journals"] == 4
        assert {status for _, status in back["screens"]} == {"Exhausted"}
        assert consecutive(back["screens"], "54321", "654321", "65321", "765321")
        assert back["plain"][-1] == "765"

        split = await story.hear("split")
        assert split["halves"] == 2
        assert consecutive(split["screens"], "765321", "8765321", "98765321", "A98765321")
        anew = await story.hear("begun anew")
        assert anew["refused"]
        assert anew["failures"] == [INVALID_CURSOR]


async def test_helpers_for_servers_that_render_pages(npm: Teller, subject: str) -> None:
    async with npm("next") as story:
        nobody = await story.hear("as nobody")
        assert nobody["unset"]["message"] == "Environment variable NEXT_PUBLIC_CONVEX_URL is not set."
        assert nobody["who"] is None
        assert nobody["refused"]["data"] == NOBODY

        member = await story.hear("as a member")
        assert (member["who"], member["mutation"], member["action"]) == (subject, "one", ["one", "two"])
        assert member["notes"] == ["one", "two"]
        assert (member["preloaded"], member["travels"]) == (True, "string")

        failing = await story.hear("failing")
        assert failing["refused"]["data"]["code"] == "CONFLICT"
        assert "Server Error" in failing["broken"]["message"]
        assert "secret" not in failing["broken"]["message"]
        assert "Could not find public function" in failing["unknown"]["message"]
        assert '"code":"Unauthenticated"' in failing["forged"]["message"]
        assert failing["notes"] == ["one", "two"]
