"""The local picture maker: same in, same out; visibly a drawing; at home with any photo we accept."""

from __future__ import annotations

import io
import subprocess
import sys
from hashlib import sha256

import pytest
from PIL import Image, ImageChops, ImageStat

from server.pictures.photo import inspect_photo
from server.providers.stylizer import MAX_SIDE_PX, MIN_DRAWN_SIDE_PX, draw, stylize
from tests.support import pictures

SCENES = ["portrait", "landscape", "fruit"]


def drawn(photo: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(stylize(photo)))
    assert picture.format == "WEBP"
    return picture.convert("RGB")


def difference(one: Image.Image, other: Image.Image) -> float:
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


def busy_rows(picture: Image.Image) -> float:
    """How much neighbouring pixels differ on average."""
    return difference(picture, ImageChops.offset(picture, 1, 0))


def test_the_same_photo_gives_the_same_bytes() -> None:
    assert stylize(pictures.portrait(450, 600)) == stylize(pictures.portrait(450, 600))


def test_another_process_draws_the_same() -> None:
    photo = pictures.jpeg(320, 200)
    script = "import sys; from server.providers.stylizer import stylize; "
    script += "sys.stdout.buffer.write(stylize(sys.stdin.buffer.read()))"
    other = subprocess.run([sys.executable, "-c", script], input=photo, capture_output=True, check=True, timeout=60)
    assert sha256(other.stdout).digest() == sha256(stylize(photo)).digest()


@pytest.mark.parametrize("photo", [pictures.portrait(), pictures.landscape(), pictures.fruit()], ids=SCENES)
def test_the_drawing_is_calmer_and_more_colourful_than_the_photo_but_shows_the_same(photo: bytes) -> None:
    before = Image.open(io.BytesIO(photo)).convert("RGB")
    after = drawn(photo)
    assert after.size == before.size
    assert 8 < difference(before, after) < 90
    assert busy_rows(after) < busy_rows(before)
    assert saturation(after) > saturation(before)


def saturation(picture: Image.Image) -> float:
    return float(ImageStat.Stat(picture.convert("HSV").getchannel("S")).mean[0])


@pytest.mark.parametrize(
    ("photo", "size"),
    [
        (pictures.jpeg(2560, 1440), (MAX_SIDE_PX, 720)),
        (pictures.jpeg(1100, 900), (1100, 900)),
        (pictures.png(16, 16), (MIN_DRAWN_SIDE_PX, MIN_DRAWN_SIDE_PX)),
        (pictures.png(1600, 16), (MAX_SIDE_PX, 13)),
        (pictures.png(16, 1600), (13, MAX_SIDE_PX)),
        (pictures.webp(64, 48, alpha=True), (MIN_DRAWN_SIDE_PX, 768)),
    ],
)
def test_any_shape_is_drawn_within_bounds(photo: bytes, size: tuple[int, int]) -> None:
    assert drawn(photo).size == size


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_any_photo_the_lab_stored_can_be_drawn(mode: str) -> None:
    assert drawn(inspect_photo(pictures.png(320, 40, mode=mode)).content).size == (1024, 128)


@pytest.mark.parametrize("shade", ["black", "white", "gray", "#203040"])
def test_empty_pictures_neither_fail_nor_grow_lines(shade: str) -> None:
    flat = draw(Image.new("RGB", (256, 256), shade)).crop((0, 150, 90, 256))
    assert max(ImageStat.Stat(flat).stddev) < 2


def test_black_and_white_photos_are_painted_in_evening_colours() -> None:
    gray = Image.open(io.BytesIO(pictures.portrait(450, 600))).convert("L").convert("RGB")
    assert saturation(gray) == 0
    assert saturation(draw(gray)) > 60


def test_transparent_parts_become_paper() -> None:
    corner = drawn(pictures.png(200, 150, mode="RGBA")).crop((880, 640, 1000, 740))
    assert min(ImageStat.Stat(corner).mean) > 225


def test_outlines_are_dark_ink() -> None:
    sheet = Image.new("RGB", (600, 600), (240, 220, 200))
    sheet.paste((90, 150, 220), (200, 200, 400, 400))
    drawing = draw(sheet).convert("L")
    outside, edge, inside = (
        ImageStat.Stat(drawing.crop((left, 280, right, 320))).extrema[0][0]
        for left, right in ((90, 110), (185, 215), (290, 310))
    )
    assert edge < min(outside, inside) - 25
