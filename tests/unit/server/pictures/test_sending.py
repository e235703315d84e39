"""What a model is sent: a small upright JPEG, whatever the photo was."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from server.pictures.sending import MAX_SENT_BYTES, MAX_SENT_SIDE_PX, for_model
from tests.support import pictures


def opened(sent: bytes) -> Image.Image:
    return Image.open(io.BytesIO(sent))


@pytest.mark.parametrize(
    "photo",
    [pictures.jpeg(90, 60), pictures.png(90, 60, mode="RGBA"), pictures.png(90, 60, mode="P"), pictures.webp(90, 60)],
)
def test_every_stored_format_becomes_a_jpeg_of_the_same_size(photo: bytes) -> None:
    with opened(for_model(photo)) as sent:
        assert (sent.format, sent.mode, sent.size) == ("JPEG", "RGB", (90, 60))


def test_what_is_transparent_becomes_white() -> None:
    with opened(for_model(pictures.png(96, 64, mode="RGBA"))) as sent:
        assert min(sent.getpixel((90, 10))) > 245  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "expected"), [((4_096, 1_024), (2_048, 512)), ((1_000, 2_560), (800, 2_048))])
def test_large_photos_are_scaled_down(size: tuple[int, int], expected: tuple[int, int]) -> None:
    with opened(for_model(pictures.jpeg(*size))) as sent:
        assert sent.size == expected
        assert max(sent.size) == MAX_SENT_SIDE_PX


def test_a_photo_full_of_noise_still_becomes_small() -> None:
    noise = io.BytesIO()
    bands = [Image.effect_noise((1_600, 1_200), 120) for _ in range(3)]
    Image.merge("RGB", bands).save(noise, "PNG", compress_level=1)
    sent = for_model(noise.getvalue())
    assert len(sent) < MAX_SENT_BYTES
    with opened(sent) as smaller:
        assert smaller.width < 1_600


def test_nothing_but_stored_formats_is_opened() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        for_model(pictures.gif())
