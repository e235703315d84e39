"""The story of an operator for whom something is off."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.config import GEMINI_MODEL, Settings, read_settings
from server.doctor.checks import examine
from server.doctor.gemini import check_gemini
from server.doctor.issuer import check_issuer
from server.doctor.mongodb import check_mongodb
from server.doctor.polar import check_polar
from server.doctor.verdict import Kind, Verdict
from server.store.migrating import Migrations
from tests.scenarios.test_explain import GUIDE, command
from tests.support.polar import TOKEN, VENDOR, fails, polar_site, resets
from tests.support.world import World, free_port
from tests.unit.server.auth.issuer_site import issuer_site, serving

SECRET = "sk_not_a_real_secret"


def settings_with(**changes: object) -> Settings:
    """Development, but for these."""
    return msgspec.structs.replace(read_settings({}, default_environment="development"), **changes)


def stable(line: str) -> str:
    """Without what differs from machine to machine."""
    return re.sub(r"Pillow [\d.]+|\S+ open|:\d+\.$", "", line)


async def test_the_guide_shows_what_is_printed(tmp_path: Path) -> None:
    status, said = await command("doctor", DATA_DIR=str(tmp_path), PORT=str(free_port()))
    assert status == 0, said
    shown = {stable(each) for each in GUIDE.splitlines()}
    assert len(said.splitlines()) == 8
    for each in said.splitlines():
        assert stable(each) in shown


async def test_beside_a_running_product(world: World) -> None:
    found = await examine(world.settings)
    assert found["server"] == Verdict("ok", f"the server at {world.url} is ready.")
    assert found["MongoDB"].kind == "ok", found["MongoDB"]
    assert "every balance is the sum of its ledger" in found["MongoDB"].seen
    database = world.runtime.store.database
    notes = Migrations(world.runtime.store.client, world.runtime.vault.database_name).notes
    await notes.delete_one({"phase": "post"})
    seen = await check_mongodb(world.settings)
    assert (seen.kind, "step 2 (" in seen.seen, "--post" in seen.advice) == ("warning", True, True)
    indexes = await database["images"].index_information()
    await database["images"].drop_index(next(name for name in indexes if name != "_id_"))
    seen = await check_mongodb(world.settings)
    assert (seen.kind, seen.advice) == ("failed", "Run python -m server migrate.")
    assert "lacks 1 " in seen.seen


async def test_wrong_settings_are_a_line() -> None:
    status, said = await command("doctor", PORT="many")
    assert status == 1
    assert said.startswith("failed   configuration  PORT ")
    assert said.count("\n") == 1


async def test_what_is_away_is_told_apart_and_no_secret_is_told() -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    found = await examine(
        settings_with(
            gemini_api_key=SECRET,
            gemini_base_url=f"http://{nowhere}",
            polar_access_token=SECRET,
            polar_base_url=f"http://{nowhere}",
            redis_url=f"redis://:{SECRET}@{nowhere}/0",
            mongodb_uri=f"http://{SECRET}@{nowhere}",
            public_url=f"http://{nowhere}",
        )
    )
    for name in ("MongoDB", "Redis", "Polar", "Gemini"):
        assert found[name].kind == "failed", name
    assert "is not a MongoDB address" in found["MongoDB"].seen
    assert "Redis does not answer" in found["Redis"].seen
    assert "no usable answer" in found["Polar"].seen
    assert "cannot be reached" in found["Gemini"].seen
    assert SECRET not in str(found)


async def test_polar_and_its_tokens() -> None:
    async with polar_site() as site:
        good = settings_with(polar_access_token=TOKEN, polar_base_url=site.url)
        assert (await check_polar(good)).kind == "ok"
        site.will("orders", fails(401), resets)
        refused, away = await check_polar(good), await check_polar(good)
    assert "refuses the token (401)" in refused.seen
    assert "POLAR_ENV" in refused.advice
    assert "no usable answer" in away.seen
    assert VENDOR not in f"{refused}{away}"


async def test_keys_of_the_issuer() -> None:
    async with issuer_site() as site:
        ours = settings_with(clerk_issuer=site.url.removesuffix("/.well-known/jwks.json"))
        assert (await check_issuer(ours)).kind == "warning"
        named = msgspec.structs.replace(ours, authorized_parties=("https://page.test",))
        assert (await check_issuer(named)).kind == "ok"
        site.body = b"{}"
        assert "nobody can sign in" in (await check_issuer(named)).seen


@pytest.mark.parametrize(
    ("code", "kind", "seen"),
    [
        (200, "ok", "knows the key"),
        (400, "failed", "refuses the key (400)"),
        (404, "failed", "has no model"),
        (503, "failed", "answers 503"),
    ],
)
async def test_gemini_is_asked_for_the_model_alone(code: int, kind: Kind, seen: str) -> None:
    asked: list[tuple[str, str | None]] = []

    async def answer(request: Request) -> Response:
        asked.append((request.method, request.headers.get("x-goog-api-key")))
        return Response(VENDOR, code)

    path = f"/v1beta/models/{GEMINI_MODEL}"
    async with serving(Starlette(routes=[Route(path, answer)])) as url:
        found = await check_gemini(settings_with(gemini_api_key=SECRET, gemini_base_url=url))
    assert found.kind == kind
    assert seen in found.seen
    assert VENDOR not in str(found)
    assert asked == [("GET", SECRET)]
