"""The published Python clients, unmodified, against the real server: over the socket and over HTTP."""

from __future__ import annotations

import math

from tests.support.proxy import Proxy
from tests.support.world import World
from tests.wire.conftest import Teller, write_notes
from tests.wire.playground import gates

NOBODY = {"code": "UNAUTHENTICATED", "message": "Please sign in first."}
TRIAL = {"credits": 10.0, "hasFreeTrial": True}
REFUSED_ROUNDS = 4


async def test_subscriptions_mutations_and_errors(pypi: Teller, subject: str) -> None:
    async with pypi("subscriptions") as story:
        nobody = await story.hear("as nobody")
        assert nobody["who"] is None
        assert nobody["credits"]["error"] == "ConvexError"
        assert nobody["credits"]["data"] == NOBODY

        assert (await story.hear("failing subscription"))["first"] == {"data": NOBODY}
        ensured = await story.hear("after ensureUser")
        assert ensured["first"] == {"credits": 0, "hasFreeTrial": True}
        assert ensured["query"] == ensured["now"] == TRIAL
        together = await story.hear("watched together")
        assert (together["credits"], together["who"]) == (TRIAL, subject)

        failing = await story.hear("failing")
        assert failing["missing"]["data"] == {"code": "NOT_FOUND", "message": "This image does not exist."}
        assert failing["wrong"]["data"]["code"] == "VALIDATION"
        assert failing["refusedAction"]["data"] == {"code": "CONFLICT", "message": "Not today."}
        for broken in (failing["broken"], failing["brokenAction"]):
            assert broken["error"] == "Exception"
            assert "Server Error" in broken["message"]
            assert "secret" not in broken["message"]
        for unknown in (failing["unknown"], failing["unknownQuery"]):
            assert unknown["error"] == "Exception"
            assert "Could not find public function" in unknown["message"]
        assert (await story.hear("still usable"))["action"] == ["one"]
        assert (await story.hear("own writes"))["own"] == [True] * 5
        assert len((await story.hear("blocking iterator"))["newest"]) == 6
        signed_out = await story.hear("signed out")
        assert (signed_out["who"], signed_out["query"]) == (None, None)


async def test_a_subscription_survives_the_wire(pypi: Teller, world: World, proxy: Proxy, subject: str) -> None:
    async with pypi("reconnect", url=proxy.url) as story:
        await story.hear("ready")
        proxy.unplug()
        await write_notes(world, subject, "meanwhile")
        proxy.plug()
        story.tell("cut")
        assert (await story.hear("reconnected"))["notes"] == ["before", "meanwhile"]
        written = await story.hear("written")
        assert written["note"] == "after"
        assert written["notes"] == ["before", "meanwhile", "after"]
        proxy.unplug()
        story.tell("unplugged")
        await story.hear("asking offline")
        proxy.plug()
        later = await story.hear("answered later")
        assert later["note"] == "offline"
        # At least once: this client cannot be told from another after a reconnect (sync-protocol 0.11).
        assert later["notes"][:3] == ["before", "meanwhile", "after"]
        assert set(later["notes"][3:]) == {"offline"}


async def test_its_own_ways(pypi: Teller, proxy: Proxy, subject: str) -> None:
    async with pypi("habits", url=proxy.url) as story:
        failed = await story.hear("failed")
        assert failed["refused"]["data"] == {"code": "CONFLICT", "message": "There are notes enough."}
        assert failed["broken"]["error"] == "Exception"
        assert failed["notes"] == []
        assert (await story.hear("long"))["length"] == 6 << 20  # in one piece: this client joins no parts
        assert (await story.hear("large"))["same"]

        # It is somebody else after a reconnect, so what it resends is run again (sync-protocol 0.11).
        await story.hear("acting")
        gate = gates[subject]
        await gate.entered.wait()
        proxy.cut()
        await gate.entered_times(2)
        gate.open()
        assert (await story.hear("acted"))["outcome"] == {"value": subject}
        await story.hear("asking")
        proxy.hold()
        story.tell("held")
        await proxy.holding()
        proxy.cut()
        answered = await story.hear("answered")
        assert answered["answer"] == "twice"
        assert set(answered["notes"]) == {"twice"}


async def test_a_token_that_is_never_accepted_wedges_nothing(pypi: Teller, proxy: Proxy, subject: str) -> None:
    async with pypi("refused", url=proxy.url) as story:
        await story.hear("trying")
        await proxy.connected(REFUSED_ROUNDS)
        story.tell("enough")
        nobody = await story.hear("as nobody")
        assert (nobody["who"], nobody["query"]) == (None, None)
        assert (await story.hear("as somebody"))["who"] == subject


async def test_the_http_client(pypi: Teller) -> None:
    async with pypi("http") as story:
        nobody = await story.hear("as nobody")
        assert nobody["who"] is None
        assert nobody["credits"]["data"] == NOBODY
        calls = await story.hear("calls")
        assert calls["credits"] == TRIAL
        assert (calls["half"], calls["negative_zero"]) == (10.0, "-0.0")
        assert calls["mutation"] == "by http"
        assert calls["action"] == ["by http", "by action"]
        failing = await story.hear("failing")
        assert failing["missing"]["data"] == {"code": "NOT_FOUND", "message": "This image does not exist."}
        assert "Server Error" in failing["broken"]["message"]
        assert "Could not find public function" in failing["unknown"]["message"]
        unauthorised = (await story.hear("unauthorised"))["outcome"]
        assert unauthorised["message"].startswith("401 Unauthenticated: ")


async def test_values_there_and_back_again(pypi: Teller) -> None:
    async with pypi("values") as story:
        assert (await story.hear("echoed"))["changed"] == []
        made = {
            "bytes": bytes(range(256)),
            "infinity": math.inf,
            "nan": math.nan,
            "negativeInfinity": -math.inf,
            "negativeZero": -0.0,
            "ten": 10.0,
            "tenth": 0.1,
        }
        assert (await story.hear("made by the server"))["values"] == [repr(sorted(made.items()))] * 2
