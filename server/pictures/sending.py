"""A photo as it is sent to a model: upright, sRGB, on white, small enough that sending it costs little.

A model's price does not grow with resolution, its delay does: 2048 pixels a side and a megabyte are plenty.
"""

from __future__ import annotations

import io

from PIL import Image

MAX_SENT_SIDE_PX = 2048
MAX_SENT_BYTES = 1_000_000
JPEG_QUALITIES = (88, 80, 70)
"""Tried in this order until one is small enough; after the last, the picture is halved."""
MIN_HALVED_SIDE_PX = 512


def for_model(photo: bytes) -> bytes:
    """A stored JPEG, PNG or WebP photo as a JPEG to send, below MAX_SENT_BYTES where that is possible."""
    with Image.open(io.BytesIO(photo), formats=("JPEG", "PNG", "WEBP")) as opened:
        opened.draft(None, (MAX_SENT_SIDE_PX, MAX_SENT_SIDE_PX))
        picture = _on_white(opened)
    side = min(MAX_SENT_SIDE_PX, max(picture.size))
    while True:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        for quality in JPEG_QUALITIES:
            sent = _encoded(picture, quality)
            if len(sent) < MAX_SENT_BYTES:
                return sent
        side //= 2
        if side < MIN_HALVED_SIDE_PX:
            return sent


def _on_white(opened: Image.Image) -> Image.Image:
    if not opened.has_transparency_data:
        return opened.convert("RGB")
    layer = opened.convert("RGBA")
    white = Image.new("RGB", layer.size, "white")
    white.paste(layer, mask=layer.getchannel("A"))
    return white


def _encoded(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()
