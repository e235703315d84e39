"""Uploads become upright sRGB pictures without metadata, or a sentence for the person who sent them."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from server.pictures.photo import MAX_STORED_SIDE_PX, BadPhoto, Photo, inspect_photo
from server.pictures.sniff import AVIF, HEIC, JPEG, PNG, WEBP
from tests.support import pictures

NEAR = 24
"""How far a colour may drift through lossy encoding."""
FILES = {
    "jpeg": pictures.jpeg(orientation=6, gps=True),
    "cmyk": pictures.jpeg(cmyk=True),
    "png": pictures.png(gps=True),
    "palette": pictures.png(mode="P"),
    "webp": pictures.webp(gps=True),
    "animated": pictures.webp(animated=True),
    "heic": pictures.heic(gps=True),
    "avif": pictures.avif(gps=True),
}


def opened(photo: Photo) -> Image.Image:
    picture = Image.open(io.BytesIO(photo.content))
    picture.load()
    assert picture.get_format_mimetype() == photo.content_type
    return picture


def near(found: object, expected: tuple[int, ...], within: int = NEAR) -> bool:
    return isinstance(found, tuple) and all(abs(a - b) <= within for a, b in zip(found, expected, strict=True))


def shows_the_corners(picture: Image.Image, within: int = NEAR) -> bool:
    width, height = picture.size
    rgb = picture.convert("RGB")
    spots = {
        (width // 4, height // 4): pictures.TOP_LEFT,
        (width * 3 // 4, height // 4): pictures.TOP_RIGHT,
        (width // 4, height * 3 // 4): pictures.BOTTOM_LEFT,
        (width * 3 // 4, height * 3 // 4): pictures.BOTTOM_RIGHT,
    }
    return all(near(rgb.getpixel(spot), colour, within) for spot, colour in spots.items())


def outcome(file: bytes) -> Photo | str:
    """A photo or a sentence; any other error is a failed test."""
    try:
        return inspect_photo(file)
    except BadPhoto as refused:
        return refused.reason_sentence


def refusal(file: bytes) -> str:
    with pytest.raises(BadPhoto) as caught:
        inspect_photo(file)
    assert caught.value.__cause__ is None
    return caught.value.reason_sentence


@pytest.mark.parametrize("orientation", [None, *range(1, 9)])
@pytest.mark.parametrize("format_name", ["jpeg", "heic"])
def test_every_orientation_ends_upright(format_name: str, orientation: int | None) -> None:
    make = pictures.jpeg if format_name == "jpeg" else pictures.heic
    photo = inspect_photo(make(96, 64, orientation=orientation))
    assert (photo.width, photo.height) == (96, 64)
    assert opened(photo).size == (96, 64)
    assert shows_the_corners(opened(photo))


def test_an_impossible_orientation_is_no_reason_to_refuse() -> None:
    assert shows_the_corners(opened(inspect_photo(pictures.jpeg(orientation=99))))


@pytest.mark.parametrize(
    ("file", "source", "stored"),
    [
        (pictures.jpeg(), JPEG, JPEG),
        (pictures.png(), PNG, PNG),
        (pictures.webp(), WEBP, WEBP),
        (pictures.heic(), HEIC, JPEG),
        (pictures.avif(), AVIF, JPEG),
    ],
)
def test_formats_browsers_show_stay_what_they_are(file: bytes, source: str, stored: str) -> None:
    photo = inspect_photo(file)
    assert (photo.source_content_type, photo.content_type) == (source, stored)
    assert shows_the_corners(opened(photo))


@pytest.mark.parametrize("name", sorted(FILES))
def test_nothing_about_place_or_camera_is_left(name: str) -> None:
    photo = inspect_photo(FILES[name])
    picture = opened(photo)
    for trace in (b"Exif", b"EXIF", b"eXIf", b"GPS", b"ICC_PROFILE", b"ICCP", b"iCCP", b"http://ns.adobe.com"):
        assert trace not in photo.content
    assert pictures.MAKER.encode() not in photo.content
    assert pictures.COMMENT not in photo.content
    assert not picture.getexif()
    assert not {"exif", "xmp", "icc_profile", "comment"} & set(picture.info)


def test_the_uploads_themselves_did_carry_the_traces() -> None:
    for name in ("jpeg", "png", "webp", "heic", "avif"):
        assert pictures.MAKER.encode() in FILES[name]
    assert pictures.COMMENT in FILES["jpeg"]


def test_large_pictures_are_scaled_down_and_remember_their_size() -> None:
    photo = inspect_photo(pictures.jpeg(4000, 3000, orientation=6))
    assert (photo.width, photo.height) == (4000, 3000)
    assert opened(photo).size == (MAX_STORED_SIDE_PX, 1920)
    assert shows_the_corners(opened(photo))


def test_small_pictures_are_not_scaled_up() -> None:
    assert opened(inspect_photo(pictures.png(16, 16))).size == (16, 16)


def test_sixteen_bit_gray_is_scaled_not_clipped() -> None:
    picture = opened(inspect_photo(pictures.png(256, 32, mode="I;16"))).convert("L")
    ramp = [picture.getpixel((x, 16)) for x in (0, 64, 128, 192, 255)]
    assert ramp == [0, 64, 128, 192, 255]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA"])
def test_every_png_mode_becomes_plain_colour(mode: str) -> None:
    picture = opened(inspect_photo(pictures.png(mode=mode)))
    assert picture.mode == ("RGBA" if mode in ("P", "LA", "RGBA") else "RGB")


def test_transparency_is_kept_where_the_format_has_it_and_white_elsewhere() -> None:
    for file in (pictures.png(mode="RGBA"), pictures.webp(alpha=True)):
        picture = opened(inspect_photo(file))
        alpha = picture.getchannel("A")
        assert (alpha.getpixel((90, 10)), alpha.getpixel((10, 10))) == (0, 255)
    flattened = opened(inspect_photo(pictures.heic(alpha=True)))
    assert near(flattened.getpixel((90, 10)), (255, 255, 255))
    assert near(flattened.getpixel((10, 10)), pictures.TOP_LEFT)


def test_cmyk_becomes_colour_on_a_screen() -> None:
    assert shows_the_corners(opened(inspect_photo(pictures.jpeg(cmyk=True))))


def test_colours_follow_the_profile_and_survive_a_broken_one() -> None:
    assert near(opened(inspect_photo(pictures.with_profile((230, 20, 20)))).getpixel((9, 9)), (20, 230, 20))
    assert near(
        opened(inspect_photo(pictures.with_profile((230, 20, 20), broken=True))).getpixel((9, 9)), (230, 20, 20)
    )


def test_an_animation_gives_its_first_frame() -> None:
    picture = opened(inspect_photo(pictures.webp(animated=True)))
    assert getattr(picture, "n_frames", 1) == 1
    assert shows_the_corners(picture)


def test_the_placeholder_is_a_tiny_picture_of_the_same_scene() -> None:
    photo = inspect_photo(pictures.jpeg(960, 640, orientation=6))
    kind, _, text = photo.placeholder.partition(",")
    tiny = Image.open(io.BytesIO(base64.b64decode(text, validate=True)))
    assert (kind, tiny.format) == ("data:image/webp;base64", "WEBP")
    assert tiny.size == (16, 11)
    assert len(photo.placeholder) < 400
    assert shows_the_corners(tiny.resize((160, 110), Image.Resampling.NEAREST), within=60)


def test_paths_and_bytes_give_the_same_whatever_the_name(tmp_path: Path) -> None:
    file = tmp_path / "holiday.jpg"
    file.write_bytes(pictures.png())
    assert inspect_photo(file) == inspect_photo(pictures.png())
    assert inspect_photo(file).source_content_type == PNG


def test_a_missing_file_is_not_the_fault_of_the_photo(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        inspect_photo(tmp_path / "nowhere.jpg")


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"", "This file is empty."),
        (pictures.gif(), "This is a GIF; we take JPEG, PNG"),
        (pictures.not_a_picture(), "This is a web page"),
        (b"PK\x03\x04" + bytes(99), "This is a ZIP archive"),
        (b"<svg onload='alert(1)'/>", "This is an SVG drawing"),
        (b"just words", "This file is not a photo we can read"),
        (pictures.bomb(), "This picture is too large: 30,000 x 30,000 pixels; the limit is 12,000 on a side."),
        (pictures.bomb(9_000, 9_000), "9,000 x 9,000 pixels; the limit is 50 megapixels."),
        (pictures.png(15, 200), "This picture is too small: 15 x 200 pixels; each side needs at least 16."),
        (pictures.bomb(64, 64), "This file is damaged or cut off."),
        (pictures.webp()[:12] + b"VP8X\x0a\x00\x00\x00\x10\x00\x00\x00\xff\x3f\x00\xff\x3f\x00", "too large"),
    ],
)
def test_refusals_say_what_is_wrong(file: bytes, words: str) -> None:
    sentence = refusal(file)
    assert words in sentence
    assert sentence.endswith(".")


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_cut_ends_in_a_photo_or_a_sentence(name: str) -> None:
    file = FILES[name]
    for at in range(0, len(file), max(1, len(file) // 60)):
        result = outcome(file[:at])
        assert isinstance(result, Photo) or result.endswith(".")
    assert "damaged" in refusal(pictures.truncated(file))


@pytest.mark.parametrize("name", sorted(FILES))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_flipped_bytes_end_in_a_photo_or_a_sentence(name: str, data: st.DataObject) -> None:
    file = bytearray(FILES[name])
    for at, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(file) - 1), st.integers(0, 255)), min_size=1, max_size=12)
    ):
        file[at] = value
    keep = data.draw(st.integers(len(file) // 2, len(file)))
    result = outcome(bytes(file[:keep]))
    if isinstance(result, Photo):
        assert max(opened(result).size) <= MAX_STORED_SIDE_PX
    else:
        assert result.endswith(".")
