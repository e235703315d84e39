"""Photos that mean harm, over HTTP to the whole product: made safe and kept upright, or refused in words and without a trace."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
from PIL import Image, PngImagePlugin

from schema.blobs import Blob
from schema.document import table_of
from tests.scenarios.stock import one
from tests.scenarios.test_credits import check_books
from tests.support import pictures
from tests.support.live import LiveClient, Value, world_client
from tests.support.world import World, open_world

WIDTH, HEIGHT = 96, 64
LARGE_PX = 7_000
"""A side of a picture that is just small enough to be taken."""
LARGEST_STORED_PX = 2_560
TEXT_BOMB_BYTES = 64 << 20
SCRIPT = b"<script>alert(document.cookie)</script>"
SENTENCE_END = "."
TRACES = (b"Exif", b"eXIf", b"GPS", b"tEXt", b"zTXt", pictures.MAKER.encode(), pictures.COMMENT, SCRIPT, b"PK\x03\x04")


class Taken(msgspec.Struct, frozen=True):
    """It is kept, as a picture of this size that shows the scene upright."""

    width: int = WIDTH
    height: int = HEIGHT
    content_type: str = "image/jpeg"
    shows: bool = True


class Refused(msgspec.Struct, frozen=True):
    """It is not, and the sentence says so with these words."""

    words: str


PNG = Taken(content_type="image/png")
DAMAGED = Refused("damaged or cut off")


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("index.html", SCRIPT.decode())
    return out.getvalue()


def with_exif(exif: bytes) -> bytes:
    """A JPEG whose EXIF block is this, true or not."""
    plain, segment = pictures.jpeg(), b"Exif\x00\x00" + exif
    return plain[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + plain[2:]


def text_bomb() -> bytes:
    """A small PNG with a comment that inflates to very much."""
    out, comment = io.BytesIO(), PngImagePlugin.PngInfo()
    comment.add_text("Comment", "\0" * TEXT_BOMB_BYTES, zip=True)
    pictures.corners(WIDTH, HEIGHT).save(out, "PNG", pnginfo=comment)
    return out.getvalue()


def animated_png() -> bytes:
    out, scene = io.BytesIO(), pictures.corners(WIDTH, HEIGHT)
    scene.save(out, "PNG", save_all=True, append_images=[Image.new("RGB", scene.size)], duration=100)
    return out.getvalue()


def flat(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (width, height)).save(out, "PNG")
    return out.getvalue()


HOSTILE: dict[str, tuple[bytes, Taken | Refused]] = {
    "a bomb": (pictures.bomb(), Refused("too large: 30,000 x 30,000 pixels")),
    "a bomb of few sides": (pictures.bomb(9_000, 9_000), Refused("50 megapixels")),
    "a long thin one": (pictures.bomb(12_001, 20), Refused("12,000 on a side")),
    "a bomb in a comment": (text_bomb(), DAMAGED),
    "a small file of a large picture": (
        flat(LARGE_PX, LARGE_PX),
        Taken(LARGE_PX, LARGE_PX, "image/png", shows=False),
    ),
    "too small": (pictures.png(8, 8), Refused("too small: 8 x 8 pixels")),
    "truncated JPEG": (pictures.truncated(pictures.jpeg()), DAMAGED),
    "truncated PNG": (pictures.truncated(pictures.png(), 0.9), DAMAGED),
    "truncated HEIC": (pictures.truncated(pictures.heic()), DAMAGED),
    "a header and nothing": (b"\xff\xd8\xff\xe0", DAMAGED),
    "zero bytes": (b"", Refused("This file is empty")),
    "JPEG and web page": (pictures.jpeg() + b"<html>" + SCRIPT, Taken()),
    "PNG and archive": (pictures.png() + archive(), PNG),
    "web page in a comment": (with_exif(SCRIPT * 40), Taken()),
    "web page called a photo": (pictures.not_a_picture(), Refused("This is a web page")),
    "archive called a photo": (archive(), Refused("This is a ZIP archive")),
    "GIF called a photo": (pictures.gif(), Refused("This is a GIF")),
    "PNG called a JPEG": (pictures.png(), PNG),
    "WebP called a JPEG": (pictures.webp(), Taken(content_type="image/webp")),
    "animated WebP": (pictures.webp(animated=True), Taken(content_type="image/webp")),
    "animated PNG": (animated_png(), PNG),
    "CMYK": (pictures.jpeg(cmyk=True), Taken()),
    "16 bits": (pictures.png(mode="I;16"), Taken(content_type="image/png", shows=False)),
    "EXIF of nonsense": (with_exif(b"\xff" * 200), Taken()),
    "EXIF that points nowhere": (with_exif(b"II*\x00\xff\xff\xff\x7f" + bytes(40)), Taken()),
    "EXIF cut off": (with_exif(b"MM\x00*\x00\x00\x00\x08\xff\xff"), Taken()),
    "an impossible orientation": (pictures.jpeg(orientation=99), Taken()),
    "with a place": (pictures.jpeg(gps=True), Taken()),
    **{f"orientation {number}": (pictures.jpeg(orientation=number, gps=True), Taken()) for number in range(1, 9)},
    "orientation 6 as HEIC": (pictures.heic(orientation=6, gps=True), Taken()),
}


@pytest.fixture(scope="module")
async def place(mongod_uri: str) -> AsyncIterator[World]:
    async with open_world(mongod_uri) as opened:
        yield opened


async def left(world: World) -> tuple[int, ...]:
    """How many rows, contents, chunks and temporary files there are."""
    contents = world.runtime.store.client[world.runtime.vault.database_name]
    collections = (
        world.runtime.store.database[table_of(Blob).name],
        contents["blobs.files"],
        contents["blobs.chunks"],
    )
    counts = [await each.count_documents({}) for each in collections]
    return *counts, len(list((world.settings.data_dir / "uploads").iterdir()))


async def send(person: LiveClient, content: bytes) -> httpx.Response:
    """Upload something under a name and a type that it may not have."""
    address = await person.mutation("images:generateUploadUrl")
    headers = {"Content-Type": "image/jpeg", "Content-Disposition": 'attachment; filename="holiday.jpg"'}
    return await person.http.post(address, content=content, headers=headers)


def shows_the_corners(picture: Image.Image) -> bool:
    width, height = picture.size
    expected = {
        (5, 5): pictures.TOP_LEFT,
        (width - 6, 5): pictures.TOP_RIGHT,
        (5, height - 6): pictures.BOTTOM_LEFT,
        (width - 6, height - 6): pictures.BOTTOM_RIGHT,
    }
    shown = {at: picture.convert("RGB").getpixel(at) for at in expected}
    return all(
        isinstance(pixel, tuple) and max(abs(a - b) for a, b in zip(pixel, expected[at], strict=True)) <= 40
        for at, pixel in shown.items()
    )


@pytest.mark.parametrize("name", HOSTILE)
async def test_it_is_made_safe_or_refused(place: World, name: str) -> None:
    content, expected = HOSTILE[name]
    async with world_client(place, "mallory") as person:
        await person.mutation("users:ensureUser")
        before = await left(place)

        answer = await send(person, content)

        await check_books(place, "mallory", 10)
        if isinstance(expected, Refused):
            assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION")
            assert expected.words in answer.json()["message"]
            assert answer.json()["message"].endswith(SENTENCE_END)
            assert await left(place) == before
            return
        assert answer.status_code == 200, answer.text
        storage_id = answer.json()["storageId"]
        row = await one(place, Blob, storage_id)
        assert row is not None
        assert (row.width, row.height, row.content_type) == (expected.width, expected.height, expected.content_type)
        served = await person.http.get(f"{place.url}/api/storage/{storage_id}")
        assert served.headers["content-type"] == expected.content_type
        assert served.headers["x-content-type-options"] == "nosniff"
        assert [trace for trace in TRACES if trace in served.content] == []
        picture = Image.open(io.BytesIO(served.content))
        assert max(picture.size) == min(LARGEST_STORED_PX, max(expected.width, expected.height))
        assert getattr(picture, "n_frames", 1) == 1
        assert not picture.getexif()
        assert not {"exif", "xmp", "icc_profile", "comment"} & set(picture.info)
        assert shows_the_corners(picture) or not expected.shows
        rows, files, _, parts = await left(place)
        assert (rows, files, parts) == (before[0] + 1, before[1] + 1, before[3])


async def test_what_a_client_says_of_its_photo_is_not_believed(place: World) -> None:
    async with world_client(place, "liar") as person:
        storage_id = (await send(person, pictures.png())).json()["storageId"]
        image_id = await person.mutation(
            "images:uploadAndScheduleGeneration",
            storageId=storage_id,
            originalWidth=9_999,
            originalHeight=1,
            contentType="text/html",
            placeholderBlurDataUrl="javascript:alert(1)",
            originalSizeBytes=-1,
        )
        image: Value = await person.query_once("images:getImageById", imageId=image_id)
        assert (image["originalWidth"], image["originalHeight"], image["contentType"]) == (WIDTH, HEIGHT, "image/png")
        assert image["originalSizeBytes"] == len(pictures.png())
        assert image["placeholderBlurDataUrl"].startswith("data:image/webp;base64,")


async def test_all_of_them_at_once_keep_nobody_else_waiting(place: World) -> None:
    async with world_client(place, "mallory") as person, world_client(place, "ben") as ben:
        credit = await ben.watch("users:getCurrentUserCredits")
        storm = asyncio.gather(*(send(person, content) for content, _ in HOSTILE.values()))
        gallery = await ben.watch("images:getGalleryImagesCount")
        assert (gallery.value, storm.done()) == (0, False)
        await ben.photo()
        assert (credit.value["credits"], gallery.value) == (9, 1)
        answers = await storm
        refusals = [each for _, each in HOSTILE.values() if isinstance(each, Refused)]
        assert [each.status_code for each in answers].count(400) == len(refusals)
        assert {each.status_code for each in answers} == {200, 400}
        assert (await send(ben, pictures.jpeg())).status_code == 200
