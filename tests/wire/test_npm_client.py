"""The published npm client, unmodified, against the real server: subscriptions, mutations, actions, identities, values."""

from __future__ import annotations

import asyncio
from itertools import groupby
from pathlib import Path

import pytest

from schema.system import Receipt
from schema.values import Id, minutes, seconds
from server.auth.clerk import LEEWAY_S
from server.dev.issuer import TOKEN_LIFETIME_S, DevIssuer
from server.executor import RECEIPT_LIFETIME
from server.runtime import clock
from subscriptions import outbox
from tests.support import pictures
from tests.support.world import World
from tests.wire.conftest import Teller
from tests.wire.playground import gates

ACCEPTED_FOR = seconds(3)
MAX_REQUESTS = 30


def changes(seen: list[object]) -> list[object]:
    """What was seen without repetitions: the client tells a value again when a transition came that did not change it."""
    return [value for value, _ in groupby(seen)]


async def receipts_of(world: World, session: str) -> dict[int, Receipt]:
    """The receipts of one client by the numbers of its requests."""
    ids = [Id[Receipt](f"{session}:{number}") for number in range(MAX_REQUESTS)]
    database = await world.runtime.database.newest()
    found = [await database.get(Receipt, each) for each in ids]
    return {number: receipt for number, receipt in enumerate(found) if receipt is not None}


@pytest.mark.parametrize("ending", ["", "/"], ids=["plain", "trailing slash"])
async def test_a_mutation_resolves_once_its_effect_is_on_the_screen(npm: Teller, world: World, ending: str) -> None:
    async with npm("credits", url=world.url + ending) as story:
        first = await story.hear("first")
        assert first["value"] == {"credits": 0, "hasFreeTrial": True}
        assert first["adds"] == 1
        assert (await story.hear("after ensureUser"))["value"] == {"credits": 10, "hasFreeTrial": True}
        assert (await story.hear("after a mutation without effect"))["news"] == 0

        failing = await story.hear("failing")
        assert failing["missing"]["error"] == "ConvexError"
        assert failing["missing"]["data"] == {"code": "NOT_FOUND", "message": "This image does not exist."}
        for wrong in (failing["wrong"], failing["wrongQuery"]):
            assert wrong["error"] == "ConvexError", wrong
            assert wrong["data"]["code"] == "VALIDATION"
            assert wrong["data"]["field"] in wrong["data"]["message"]
        assert failing["wrong"]["data"]["field"] == "imageId"
        assert failing["wrongQuery"]["data"]["field"] == "paginationOpts"
        for unknown in ("unknown", "unknownQuery", "internal", "mutationAsQuery"):
            assert failing[unknown]["error"] == "Error"
            assert "Could not find public function for" in failing[unknown]["message"]
            assert "data" not in failing[unknown]
        assert (await story.hear("still usable"))["value"]["credits"] == 10

        assert (await story.hear("one of two left"))["removes"] == 0
        assert await story.hear("both left") == {"said": "both left", "removes": 1, "gone": True}
        assert await story.hear("sockets") == {"said": "sockets", "connects": 1, "fatal": 0, "any": True}


async def test_optimistic_updates_swap_in_one_step_and_roll_back(npm: Teller, world: World, subject: str) -> None:
    async with npm("optimism") as story:
        swapped = await story.hear("swapped")
        assert changes(swapped["seen"]) == [[], ["hoping for a"], ["a"]]
        assert swapped["now"] == ["a"]

        rolled_back = await story.hear("rolled back")
        assert rolled_back["refused"]["data"] == {"code": "CONFLICT", "message": "There are notes enough."}
        assert changes(rolled_back["seen"]) == [["a", "hoping for b"], ["a"]]
        assert rolled_back["now"] == ["a"]

        broken = await story.hear("broken")
        assert "Server Error" in broken["broken"]["message"]
        assert "secret" not in broken["broken"]["message"]
        assert "data" not in broken["broken"]
        assert changes(broken["seen"]) == [["a", "hoping for c"], ["a"]]

        burst = await story.hear("burst")
        assert burst["own"] == [True] * 20
        assert burst["now"] == ["a", *(f"burst {number}" for number in range(20))]

        # What was done has a receipt, what was refused has none; they go by themselves.
        receipts = await receipts_of(world, burst["session"])
        assert sorted(receipts) == [0, *range(3, 23)]
        assert {receipt.caller for receipt in receipts.values()} == {subject}
        assert receipts[3].value == '"burst 0"'
        lasts_until = clock() + RECEIPT_LIFETIME
        assert all(lasts_until - minutes(5) < receipt.expires_at <= lasts_until for receipt in receipts.values())


async def test_actions_end_in_any_order_and_in_every_way(npm: Teller, subject: str) -> None:
    async with npm("actions", gate=subject) as story:
        done = await story.hear("quick is done")
        assert done["order"] == [["quick"]]
        gates[subject].open()
        assert (await story.hear("slow is done"))["order"] == [["quick"], subject]
        assert (await story.hear("noted"))["notes"] == ["quick"]

        failing = await story.hear("failing")
        assert failing["refused"]["error"] == "ConvexError"
        assert failing["refused"]["data"] == {"code": "CONFLICT", "message": "Not today."}
        assert failing["broken"]["error"] == "Error"
        assert "Server Error" in failing["broken"]["message"]
        assert "secret" not in failing["broken"]["message"]
        assert "Could not find public function" in failing["unknown"]["message"]
        assert failing["wrong"]["data"]["code"] == "VALIDATION"


async def test_signing_in_out_and_with_tokens_that_are_refused(npm: Teller, subject: str) -> None:
    async with npm("identity", lifetime=TOKEN_LIFETIME_S) as story:
        nobody = await story.hear("nobody")
        assert nobody["value"] is None
        assert nobody["credits"]["code"] == "UNAUTHENTICATED"

        assert (await story.hear("confirmed"))["value"] == subject
        refreshed = await story.hear("refreshed")
        assert refreshed["authenticates"] == [
            {"tokenType": "User", "baseVersion": 0},
            {"tokenType": "User", "baseVersion": 1},
        ]
        assert refreshed["seen"] == [None, subject]
        assert (await story.hear("signed out"))["last"] == {"tokenType": "None", "baseVersion": 2}

        refused = await story.hear("refused once")
        assert refused["forced"] == [False, True]
        assert refused["errors"] == [{"baseVersion": 0, "authUpdateAttempted": True}]
        assert refused["atLeastTwice"]
        assert refused["seen"] == [subject]

        expected = await story.hear("expected")
        assert expected["seen"] == [subject]
        assert expected["note"] == "without a Connect"
        assert expected["connects"] == 0  # this client forgets it when it signs in late

        always = await story.hear("refused always")
        assert always["signedIn"] is False
        assert always["tries"] == 4
        assert (await story.hear("as nobody"))["value"] is None

        renewed = await story.hear("renewed in time")
        assert renewed["claims"] == [{"tokenType": "User", "baseVersion": version} for version in range(3)]
        assert renewed["seen"] == [subject]
        without = await story.hear("without a token")
        assert (without["without"], without["demands"]) == (False, [False, True])
        assert (without["who"], without["claims"]) == (None, 0)


async def test_a_silent_socket_is_kept_and_pinged(npm: Teller, subject: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "PING_S", 0.05)  # clients lose patience only after 30 to 60 s
    async with npm("silence") as story:
        assert (await story.hear("kept"))["sent"] == 0
        used = await story.hear("used")
        assert (used["who"], used["connected"]) == (subject, 1)


async def test_a_photo_becomes_a_picture_for_one_credit(npm: Teller, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(pictures.jpeg(640, 480))
    async with npm("photo", photo=str(photo)) as story:
        scheduled = await story.hear("scheduled")
        assert scheduled["status"] == 200
        (placeholder,) = scheduled["page"]
        assert placeholder["isTheOne"]
        assert placeholder["generationStatus"] in ("pending", "processing")
        assert not placeholder["isGenerated"]
        assert placeholder["originalWidth"] == 640
        assert scheduled["credits"] == 9
        assert scheduled["busy"] is True

        drawn = await story.hear("drawn")
        assert drawn["statuses"][0] == ""
        assert drawn["statuses"][-1] == "completed"
        assert "completed" not in drawn["statuses"][:-1]
        assert drawn["ofTheOriginal"]
        assert drawn["status"] == 200
        assert drawn["type"].startswith("image/")
        assert drawn["length"] > 1_000
        assert drawn["credits"] == 9
        assert drawn["count"] == 1

        again = (await story.hear("used up"))["again"]
        assert again["data"]["code"] == "VALIDATION"
        assert "storageId" in again["data"]["message"]


async def test_the_http_client(npm: Teller) -> None:
    async with npm("http") as story:
        nobody = await story.hear("as nobody")
        assert nobody["who"] is None
        assert nobody["credits"]["error"] == "ConvexError"
        assert nobody["credits"]["data"]["code"] == "UNAUTHENTICATED"

        calls = await story.hear("calls")
        trial = {"credits": 10, "hasFreeTrial": True}
        assert calls["credits"] == trial
        assert calls["consistent"] == [trial, []]
        assert calls["mutation"] == "by http"
        assert calls["action"] == ["by http", "by http action"]
        assert (await story.hear("pushed"))["notes"] == ["by http", "by http action"]
        in_order = (await story.hear("in order"))["notes"]
        assert in_order == ["by http", "by http action", "one", "two", "three", "four"]

        failing = await story.hear("failing")
        assert failing["missing"]["data"] == {"code": "NOT_FOUND", "message": "This image does not exist."}
        assert failing["wrong"]["data"]["code"] == "VALIDATION"
        assert failing["refused"]["data"]["code"] == "CONFLICT"
        for broken in (failing["broken"], failing["brokenAction"]):
            assert broken["error"] == "Error"
            assert "Server Error" in broken["message"]
            assert "secret" not in broken["message"]
        assert "Could not find public function" in failing["unknown"]["message"]
        assert failing["cursor"]["data"] == {"isConvexSystemError": True, "paginationError": "InvalidCursor"}
        assert "InvalidCursor" in failing["cursor"]["message"]

        unauthorised = (await story.hear("unauthorised"))["outcome"]
        assert unauthorised["error"] == "Error"
        assert '"code":"Unauthenticated"' in unauthorised["message"]
        assert (await story.hear("as nobody again"))["who"] is None


async def test_values_there_and_back_again(npm: Teller) -> None:
    async with npm("values") as story:
        assert (await story.hear("echoed"))["changed"] == []
        assert (await story.hear("made by the server"))["right"]
        numbers = await story.hear("as numbers")
        assert numbers["half"] == {"value": 1.5}
        for refused in ("infinity", "nan", "int64"):
            assert numbers[refused]["data"]["code"] == "VALIDATION"
        assert numbers["negativeZero"]
        assert await story.hear("large") == {"said": "large", "same": True, "long": 6 << 20, "parts": 2}


async def test_a_token_that_runs_out_is_renewed_and_the_mutation_runs_once(
    npm: Teller, world: World, subject: str
) -> None:
    issuer = DevIssuer.open(f"{world.url}/dev", world.settings.data_dir)
    async with npm("expiry") as story:
        await story.hear("needs a token")
        issued = clock()
        # It has run out already and is accepted for a moment only, because clocks may differ a little.
        lapses = issued + ACCEPTED_FOR
        story.tell(issuer.token(subject, now=lapses - seconds(LEEWAY_S + TOKEN_LIFETIME_S)))
        await story.hear("signed in")
        await asyncio.sleep(max(0.0, lapses - clock()) / 1_000)
        story.tell("expired")

        written = await story.hear("written")
        assert written["written"] == {"value": "late"}
        assert written["now"] == ["late"]
        assert changes(written["seen"]) in ([["late"]], [[], ["late"]])  # a new socket tells what was known, too
        assert written["errors"] == [False]
        assert written["mutations"] == 2
        assert written["connects"] == 2
