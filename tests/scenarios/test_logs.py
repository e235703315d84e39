"""What the log of a whole process says of a story, and what it never says."""

from __future__ import annotations

import base64
import json
import logging
import time
from pathlib import Path

import httpx
import pytest

from server.logs import About, Console, Json
from tests.support import pictures
from tests.support.gemini import gemini_site, told
from tests.support.http import http_client
from tests.support.processes import DEADLINE_S, Person, open_deployment, running
from tests.support.webhooks import fixture, new_id, sign
from tests.support.world import free_port

GEMINI, POLAR, CLERK = (
    "AIza-gemini-key-of-this-story",
    "polar_whs_of_this_story",
    "whsec_Y2xlcmstc2VjcmV0LW9mLXRoaXMtc3Rvcnk=",
)
EMAIL, FIRST, LAST, BUYER = "ana.private@mail.example", "Anastasia", "Privatova", "fake.buyer@example.com"
PLACE = {"customerEmail": EMAIL, "customerName": f"{FIRST} {LAST}"}


async def test_a_story_is_told_with_ids_and_without_anybody_in_it(mongod_uri: str, tmp_path: Path) -> None:
    """Signing up, a photo that cannot be drawn, buying, a bad token, a forged webhook; at the level that says most."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with (
        http_client(timeout=DEADLINE_S) as http,
        open_deployment(mongod_uri, tmp_path, http) as deployment,
        gemini_site() as model,
        running(
            "dev",
            **{**deployment.variables, "PUBLIC_URL": url},
            PORT=str(port), LOG_FORMAT="json", LOG_LEVEL="debug",
            GEMINI_API_KEY=GEMINI, GEMINI_BASE_URL=model.url, POLAR_WEBHOOK_SECRET=POLAR, CLERK_WEBHOOK_SECRET=CLERK,
        ) as dev,
    ):  # fmt: skip
        await dev.says("is ready")
        token = (await http.post(f"{url}/dev/token", json={"subject": "user_story"})).json()["token"]
        ana = Person(http, url, token)
        joined = {"type": "user.created", "data": {
            "id": "user_story", "first_name": FIRST, "last_name": LAST, "primary_email_address_id": "idn_1",
            "email_addresses": [{"id": "idn_1", "email_address": EMAIL, "verification": {"status": "verified"}}],
        }}  # fmt: skip
        assert await posted(http, f"{url}/webhooks/clerk", CLERK, json.dumps(joined).encode(), clerk=True) == 202
        await ana.mutate("users:ensureUser")
        model.will(told("finish_image_safety.200"))
        await ana.mutate("images:uploadAndScheduleGeneration", storageId=await ana.upload(pictures.jpeg(64, 48)))
        await deployment.settled(1)
        await ana.mutate("payments:initiateCheckout", **PLACE)
        assert await posted(http, f"{url}/webhooks/polar", POLAR, fixture("order.paid.json")) == 202
        assert await posted(http, f"{url}/webhooks/polar", "polar_whs_wrong", fixture("order.paid.json")) == 403
        bad = {"authorization": f"Bearer {token[:-6]}AAAAAA"}
        refused = {"path": "users:getCurrentUserCredits", "args": {}}
        assert (await http.post(f"{url}/api/query", json=refused, headers=bad)).status_code == 401
        await dev.says('"action": "auth.refused"')
        await dev.says('"job.settled"')
        secrets = {row["key"] for row in await deployment.rows("secrets")}

    said = [json.loads(line) for line in dev.lines if line.startswith("{")]
    settled = [each for each in said if each.get("action") == "job.settled" and each["kind"] == "generate_image"]
    (job,) = settled
    drawing = [each for each in said if each.get("job") == job["job"]]
    assert {each.get("action") for each in drawing} >= {"job.claimed", "job.settled", "gemini.refused"}
    assert {each["kind"] for each in drawing} == {"generate_image"}
    for private in (EMAIL, FIRST, LAST, BUYER, "Fake Buyer", GEMINI, POLAR, CLERK, token, token[:-6], *secrets):
        assert private not in dev.said, private
    assert "Traceback" not in dev.said


async def posted(http: httpx.AsyncClient, url: str, secret: str, body: bytes, *, clerk: bool = False) -> int:
    key = base64.b64decode(secret.removeprefix("whsec_")) if clerk else secret.encode()
    headers = sign(key, body, new_id(), time.time(), "svix" if clerk else "webhook")
    return (await http.post(url, content=body, headers=headers)).status_code


def record(message: str, level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("anime.test", level, __file__, 1, message, (), None)
    for name, value in extra.items():
        setattr(made, name, value)
    return made


def test_a_line_says_what_it_happens_within() -> None:
    with About(request="r1", user="user_1", function="images:f"):
        inside = json.loads(Json().format(record("something", function="images:g")))
    outside = json.loads(Json().format(record("something")))
    assert {name: inside.get(name) for name in ("request", "user", "function")} == {
        "request": "r1", "user": "user_1", "function": "images:g",
    }  # fmt: skip
    assert not outside.keys() & {"request", "user", "function"}


def test_people_are_shown_which_job() -> None:
    line = Console().format(record("job claimed", job="01m85nns5jxch94gnk99vcq5px", kind="generate_image", attempt=2))
    assert line.endswith("info     job claimed  [generate_image 99vcq5px #2]")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("dup key: { email: \"ana.b+c@mail.example\" }", "dup key: { email: \"[e-mail]\" }"),
        ("Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl.", "Bearer [token]."),
        ("cannot reach mongodb://anime:p4ss@db.example:27017/x", "cannot reach mongodb://anime:[password]@db.example:27017/x"),
    ],
)  # fmt: skip
def test_what_a_library_says_is_struck_out(words: str, said: str) -> None:
    assert json.loads(Json().format(record(words)))["message"] == said
