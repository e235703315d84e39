"""Whatever Gemini says or does, a job gets an outcome: through the real SDK, over real HTTP, from the real lab."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from PIL import Image

from jobs.outcome import Broken, Later, Refused, Transient
from schema.values import seconds
from server.pictures.lab import PhotoLab
from server.pictures.photo import Photo
from server.pictures.sending import MAX_SENT_SIDE_PX
from server.providers import gemini, gemini_outcomes
from server.providers.breaker import FIRST_OPEN_MS, MAX_FAILURES
from server.providers.gemini import GeminiPictures
from server.providers.gemini_outcomes import (
    NO_PICTURE,
    OVERLOADED,
    TOO_ALIKE,
    TOO_PERSONAL,
    TOO_SLOW,
    TROUBLE,
    UNAVAILABLE,
    UNREACHABLE,
    UNREADABLE,
    UNSUITABLE,
    UNUSABLE,
)
from server.providers.gemini_wire import GeminiWire
from server.providers.prompt import Prompt
from tests.support import pictures
from tests.support.feed import MovableClock
from tests.support.gemini import (
    MODEL,
    GeminiSite,
    Scenario,
    blocked,
    cuts,
    draws,
    drips,
    finished,
    floods,
    gemini_site,
    resets,
    resets_midway,
    says,
    stalls,
    told,
    wrong,
)

SECRET = "AIza-not-a-real-key"
NOW = 1_764_000_000_000.0
PHOTO = pictures.jpeg(320, 240)
PROMPT = Prompt("test-v1", "Draw this.")
CAP_BYTES = 1 << 20
SHORT_S = 0.3
"""For calls that are meant to take too long."""
DRAWN = Photo
HTML = "<html><h1>502 Bad Gateway</h1></html>"


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[PhotoLab]:
    lab = PhotoLab(darkrooms=1)
    yield lab
    await lab.close()


@pytest.fixture(scope="module")
async def running_site() -> AsyncIterator[GeminiSite]:
    async with gemini_site() as site:
        yield site


@pytest.fixture
def site(running_site: GeminiSite) -> GeminiSite:
    running_site.clear()
    return running_site


class Studio:
    """Makers that a test closes by leaving."""

    def __init__(self, lab: PhotoLab, site: GeminiSite) -> None:
        self.lab, self.site, self.clock = lab, site, MovableClock(NOW)
        self._opened: list[GeminiPictures] = []

    def maker(self, url: str | None = None, deadline_s: float = 20.0, phase_s: float = 20.0) -> GeminiPictures:
        wire = GeminiWire(
            api_key=SECRET,
            base_url=url or self.site.url,
            phase_deadline_s=phase_s,
            call_deadline_s=deadline_s,
            max_answer_bytes=CAP_BYTES,
        )
        maker = GeminiPictures(wire, self.lab, model=MODEL, prompt=PROMPT, clock=self.clock, secret=SECRET)
        self._opened.append(maker)
        return maker

    async def close(self) -> None:
        for maker in self._opened:
            await maker.aclose()


@pytest.fixture
async def studio(lab: PhotoLab, site: GeminiSite, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Studio]:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    studio = Studio(lab, site)
    yield studio
    await studio.close()


def error(code: int, status: str, message: str, *details: Any) -> Scenario:
    return says(json.dumps(wrong(code, status, message, *details)), code)


WELL, AILING, DOWN = "well", "ailing", "down"
TABLE: list[tuple[str, Scenario, Any, str]] = [
    # pictures
    ("a picture", told("success.200"), DRAWN, WELL),
    ("text and a picture", told("success_text_and_image.200"), DRAWN, WELL),
    ("drafts and a picture", told("success_with_thoughts.200"), DRAWN, WELL),
    ("a picture and an unknown finish", finished("A_NEW_REASON", with_picture=True), DRAWN, WELL),
    ("a picture and MAX_TOKENS", finished("MAX_TOKENS", with_picture=True), DRAWN, WELL),
    ("a picture and no finish", finished(None, with_picture=True), DRAWN, WELL),
    ("a JPEG that claims to be a PNG", draws(pictures.jpeg()), DRAWN, WELL),
    # refusals
    *((f"blocked: {why}", blocked(why), Refused(UNSUITABLE), WELL) for why in ("SAFETY", "OTHER", "BLOCKLIST")),
    *((f"blocked: {why}", blocked(why), Refused(UNSUITABLE), WELL) for why in ("IMAGE_SAFETY", "JAILBREAK")),
    ("blocked, unknown", blocked("A_NEW_REASON"), Refused(UNSUITABLE), WELL),
    ("blocked, recorded", told("prompt_blocked.200"), Refused(UNSUITABLE), WELL),
    ("blocked, with ratings", told("prompt_blocked_safety_ratings.200"), Refused(UNSUITABLE), WELL),
    ("SAFETY, recorded", told("finish_safety_empty_content.200"), Refused(UNSUITABLE), WELL),
    ("IMAGE_SAFETY, recorded", told("finish_image_safety.200"), Refused(UNSUITABLE), WELL),
    ("IMAGE_SAFETY with a picture", finished("IMAGE_SAFETY", with_picture=True), Refused(UNSUITABLE), WELL),
    ("PROHIBITED_CONTENT", finished("PROHIBITED_CONTENT"), Refused(UNSUITABLE), WELL),
    ("IMAGE_PROHIBITED_CONTENT", finished("IMAGE_PROHIBITED_CONTENT"), Refused(UNSUITABLE), WELL),
    ("BLOCKLIST", finished("BLOCKLIST"), Refused(UNSUITABLE), WELL),
    ("RECITATION", finished("RECITATION"), Refused(TOO_ALIKE), WELL),
    ("IMAGE_RECITATION, recorded", told("finish_image_recitation.200"), Refused(TOO_ALIKE), WELL),
    ("SPII", finished("SPII"), Refused(TOO_PERSONAL), WELL),
    ("400 bad image", told("error.400_bad_image"), Refused(UNREADABLE), WELL),
    # no picture this time
    ("text only", told("text_only.200"), Transient(NO_PICTURE), WELL),
    ("NO_IMAGE, recorded", told("finish_no_image.200"), Transient(NO_PICTURE), WELL),
    ("IMAGE_OTHER, recorded", told("finish_image_other.200"), Transient(NO_PICTURE), WELL),
    *(
        (why, finished(why), Transient(NO_PICTURE), WELL)
        for why in ("OTHER", "MAX_TOKENS", "MALFORMED_RESPONSE", "LANGUAGE", "A_NEW_REASON", "STOP", "CONTINUATION")
    ),
    ("no candidates", says('{"candidates": []}'), Transient(NO_PICTURE), AILING),
    ("an empty object", says("{}"), Transient(NO_PICTURE), AILING),
    ("an empty body", says(""), Transient(NO_PICTURE), AILING),
    # rubbish
    ("HTML", says(HTML, content_type="text/html"), Transient(UNUSABLE), AILING),
    ("a list", says("[]"), Transient(NO_PICTURE), AILING),
    ("a string", says('"hello"'), Transient(NO_PICTURE), AILING),
    ("null", says("null"), Transient(NO_PICTURE), AILING),
    ("candidates of a wrong type", says('{"candidates": 7}'), Transient(UNUSABLE), AILING),
    ("deep nesting", says('{"a":' + "[" * 200_000), Transient(UNUSABLE), AILING),
    ("no UTF-8", says(b"\xff\xfe\xfd"), Transient(UNUSABLE), AILING),
    ("malformed base64", draws("%%%not base64%%%"), Transient(UNUSABLE), AILING),
    ("a picture that does not decode", draws(b"\x89PNG\r\n\x1a\nnothing"), Transient(UNUSABLE), AILING),
    ("a picture cut off", draws(pictures.truncated(pictures.png(200, 200))), Transient(UNUSABLE), AILING),
    ("a picture of another kind", draws(pictures.gif(), "image/gif"), Transient(UNUSABLE), AILING),
    ("a picture of one pixel", draws(pictures.png(1, 1)), Transient(UNUSABLE), AILING),
    ("a picture with 900 million pixels", draws(pictures.bomb()), Transient(UNUSABLE), AILING),
    ("a page called picture", draws(pictures.not_a_picture()), Transient(UNUSABLE), AILING),
    ("a film", draws(pictures.png(), "video/mp4"), Transient(NO_PICTURE), WELL),
    ("an enormous answer", floods(4 * CAP_BYTES), Transient(UNUSABLE), AILING),
    ("a large answer", floods(CAP_BYTES // 2), DRAWN, WELL),
    ("a compressed answer", says(b"\x1f\x8b", content_encoding="gzip"), Transient(UNUSABLE), AILING),
    # trouble
    ("429 with a delay", told("error.429"), Transient(OVERLOADED, 7_512.0), DOWN),
    ("429 without", told("error.429_no_retry_info"), Transient(OVERLOADED), DOWN),
    ("429 in HTML", says(HTML, 429, "text/html"), Transient(OVERLOADED), DOWN),
    ("500", told("error.500"), Transient(TROUBLE), AILING),
    ("502 in HTML", says(HTML, 502, "text/html"), Transient(TROUBLE), AILING),
    ("503", told("error.503"), Transient(TROUBLE), AILING),
    ("504", told("error.504"), Transient(TROUBLE), AILING),
    ("500 without UTF-8", says(b"\xff\xfe", 500), Transient(TROUBLE), AILING),
    ("408", error(408, "DEADLINE_EXCEEDED", "Slow."), Transient(TROUBLE), AILING),
    ("a reset connection", resets, Transient(UNUSABLE), AILING),
    ("an answer cut off", cuts, Transient(UNUSABLE), AILING),
    ("an answer reset midway", resets_midway, Transient(UNUSABLE), AILING),
    # ours to repair
    ("400 invalid key", told("error.400_invalid_key"), Broken(UNAVAILABLE), DOWN),
    ("400 region or billing", error(400, "FAILED_PRECONDITION", "User location."), Broken(UNAVAILABLE), DOWN),
    ("400 request", error(400, "INVALID_ARGUMENT", "Bad field."), Broken(UNAVAILABLE), DOWN),
    (
        "400 no image model",
        error(400, "INVALID_ARGUMENT", "Model does not support the requested response modalities: image"),
        Broken(UNAVAILABLE),
        DOWN,
    ),
    (
        "400 no such size",
        error(400, "INVALID_ARGUMENT", "Unable to process input: image_size 5K is no size of an image."),
        Broken(UNAVAILABLE),
        DOWN,
    ),
    ("401", error(401, "UNAUTHENTICATED", "No."), Broken(UNAVAILABLE), DOWN),
    ("403", told("error.403"), Broken(UNAVAILABLE), DOWN),
    ("404", told("error.404"), Broken(UNAVAILABLE), DOWN),
    ("404 in HTML", says(HTML, 404, "text/html"), Broken(UNAVAILABLE), DOWN),
    ("a redirect", says("", 302, location="http://127.0.0.1:9/"), Broken(UNAVAILABLE), DOWN),
    ("an account that is limited", finished("PUP_LIMITED_DISABLED"), Broken(UNAVAILABLE), DOWN),
]


@pytest.mark.filterwarnings("ignore:A_NEW_REASON is not a valid:UserWarning")
@pytest.mark.parametrize(("scenario", "expected", "health"), [pytest.param(*row, id=name) for name, *row in TABLE])
async def test_what_comes_back_becomes_an_outcome(
    studio: Studio, scenario: Scenario, expected: Any, health: str
) -> None:
    """`health` is seen from outside: how soon the breaker opens."""
    maker = studio.maker()
    studio.site.will(scenario)
    outcome = await maker.transform(PHOTO)
    assert isinstance(outcome, Photo) if expected is DRAWN else outcome == expected
    assert len(studio.site.calls) == 1, "the SDK must not retry by itself"
    assert maker.breaker.state == ("open" if health == DOWN else "closed")
    assert ("1 failures" in repr(maker.breaker)) == (health == AILING)


@pytest.mark.parametrize("scenario", [stalls, drips])
async def test_what_takes_too_long_is_ended(studio: Studio, scenario: Scenario) -> None:
    maker = studio.maker(deadline_s=SHORT_S)
    studio.site.will(scenario)
    assert await maker.transform(PHOTO) == Transient(TOO_SLOW)
    assert "1 failures" in repr(maker.breaker)


async def test_a_silence_that_is_too_long_is_ended(studio: Studio) -> None:
    maker = studio.maker(phase_s=SHORT_S)
    studio.site.will(stalls)
    assert await maker.transform(PHOTO) == Transient(TOO_SLOW)


async def test_nobody_listening(studio: Studio) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        maker = studio.maker(f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert await maker.transform(PHOTO) == Transient(UNREACHABLE)


# --- what is sent, and what becomes of the picture -------------------------------------------------------------------


async def test_what_is_sent(studio: Studio) -> None:
    await studio.maker().transform(pictures.png(3_000, 1_500, mode="RGBA"))
    (call,) = studio.site.calls
    assert (call.model, call.key, call.words, call.mime_type) == (MODEL, SECRET, "Draw this.", "image/jpeg")
    with Image.open(io.BytesIO(call.photo)) as sent:
        assert (sent.format, sent.mode, sent.size) == ("JPEG", "RGB", (MAX_SENT_SIDE_PX, MAX_SENT_SIDE_PX // 2))
    assert set(call.body) <= {"contents", "generationConfig"}
    assert call.body["generationConfig"] == {"responseModalities": ["IMAGE"]}


async def test_the_picture_is_stored_as_webp(studio: Studio) -> None:
    picture = await studio.maker().transform(PHOTO)
    assert isinstance(picture, Photo)
    assert (picture.content_type, picture.width, picture.height) == ("image/webp", 96, 64)
    assert picture.placeholder.startswith("data:image/webp;base64,")
    with Image.open(io.BytesIO(picture.content)) as stored:
        assert (stored.format, stored.size) == ("WEBP", (96, 64))
        red, green, _ = stored.convert("RGB").getpixel((10, 10))  # type: ignore[misc]
        assert red > 180 > 80 > green


@pytest.mark.parametrize(
    ("parts", "width"),
    [
        (("draft 32", "picture 96"), 96),
        (("picture 96", "draft 32"), 96),
        (("picture 64", "picture 96", "text", "draft 32"), 96),
    ],
)
async def test_the_last_picture_that_is_no_draft_is_taken(studio: Studio, parts: tuple[str, ...], width: int) -> None:
    studio.site.will(says(json.dumps({"candidates": [{"content": {"parts": [part_of(each) for each in parts]}}]})))
    picture = await studio.maker().transform(PHOTO)
    assert isinstance(picture, Photo)
    assert picture.width == width


def part_of(text: str) -> dict[str, object]:
    kind, _, width = text.partition(" ")
    if kind == "text":
        return {"text": "Here it is."}
    content = base64.b64encode(pictures.png(int(width), 64)).decode()
    return {"inlineData": {"mimeType": "image/png", "data": content}, "thought": kind == "draft"}


# --- the breaker around it -------------------------------------------------------------------------------------------


async def test_an_outage_costs_nobody_an_attempt_once_it_is_known(studio: Studio) -> None:
    maker, site = studio.maker(), studio.site
    site.will(*[told("error.503")] * MAX_FAILURES)
    for _ in range(MAX_FAILURES):
        assert await maker.transform(PHOTO) == Transient(TROUBLE)
    assert await maker.transform(PHOTO) == Later(NOW + FIRST_OPEN_MS, gemini.PAUSED)
    assert len(site.calls) == MAX_FAILURES
    studio.clock.advance(FIRST_OPEN_MS)
    assert isinstance(await maker.transform(PHOTO), Photo)
    assert maker.breaker.state == "closed"


async def test_a_wrong_key_stops_the_calls_and_tells_the_operator(
    studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    maker, site = studio.maker(), studio.site
    site.will(error(403, "PERMISSION_DENIED", f"Your API key {SECRET}\nwas reported as leaked."))
    assert await maker.transform(PHOTO) == Broken(UNAVAILABLE)
    assert isinstance(await maker.transform(PHOTO), Later)
    assert len(site.calls) == 1
    (told_once,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "GEMINI_API_KEY" in told_once.getMessage()
    assert "was reported as leaked" in told_once.getMessage()
    assert SECRET not in caplog.text


async def test_a_retired_model_is_named_to_the_operator(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    studio.site.will(told("error.404"))
    await studio.maker().transform(PHOTO)
    assert "GEMINI_MODEL" in caplog.text
    assert MODEL in caplog.text


async def test_a_quota_keeps_everybody_waiting_for_as_long_as_asked(studio: Studio) -> None:
    maker = studio.maker()
    asked_s = 60
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{asked_s}s"}
    studio.site.will(error(429, "RESOURCE_EXHAUSTED", "Quota.", info))
    assert await maker.transform(PHOTO) == Transient(OVERLOADED, seconds(asked_s))
    assert await maker.transform(PHOTO) == Later(NOW + seconds(asked_s), gemini.PAUSED)


async def test_a_probe_that_is_cancelled_makes_room_for_another(studio: Studio) -> None:
    maker, site = studio.maker(), studio.site
    site.will(told("error.429_no_retry_info"), stalls)
    await maker.transform(PHOTO)
    site.clear()
    site.will(stalls)
    studio.clock.advance(FIRST_OPEN_MS)
    probe = asyncio.create_task(maker.transform(PHOTO))
    await site.asked()
    assert maker.breaker.state == "half-open"
    assert isinstance(await maker.transform(PHOTO), Later)
    probe.cancel()
    await asyncio.wait([probe])
    assert probe.cancelled()
    assert isinstance(await maker.transform(PHOTO), Photo)


async def test_outcomes_are_counted_by_the_version_of_the_prompt(
    studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "anime.gemini")
    maker = studio.maker()
    studio.site.will(told("success.200"), blocked("SAFETY"), told("error.429"))
    for _ in range(4):
        await maker.transform(PHOTO)
    counted = {how: f'anime_gemini_total{{prompt="test-v1",outcome="{how}"}}' for how in ("drawn", "refused", "later")}
    assert {how: maker.metrics()[name] for how, name in counted.items()} == {"drawn": 1, "refused": 1, "later": 1}
    assert maker.metrics()["anime_gemini_paused"] == 1
    assert "prompt test-v1" in caplog.text


# --- sentences -------------------------------------------------------------------------------------------------------


def test_members_read_sentences_of_ours() -> None:
    sentences = [
        text
        for module in (gemini, gemini_outcomes)
        for name, text in vars(module).items()
        if name.isupper() and isinstance(text, str)
    ]
    assert len(sentences) > 10
    for sentence in sentences:
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert not any(word in sentence for word in ("Gemini", "Google", "API", "HTTP"))
