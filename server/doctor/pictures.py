"""The decoders of photos, tried on a tiny one made in memory."""

from __future__ import annotations

import io

from PIL import Image, features
from pillow_heif import from_pillow

from server.doctor.verdict import Verdict
from server.pictures.errors import BadPhoto
from server.pictures.photo import inspect_photo

SIDE_PX = 32


def check_pictures() -> Verdict:
    """Can what people upload be read?"""
    tiny = Image.new("RGB", (SIDE_PX, SIDE_PX), "salmon")
    jpeg, heic = io.BytesIO(), io.BytesIO()
    try:
        tiny.save(jpeg, "JPEG")
        from_pillow(tiny).save(heic)
        for each in (jpeg, heic):
            inspect_photo(each.getvalue())
    except (BadPhoto, OSError, ValueError, RuntimeError) as error:
        return Verdict(
            "failed", f"a photo cannot be decoded ({type(error).__name__}).", "Install the locked packages again."
        )
    return Verdict("ok", f"JPEG and HEIC are decoded (Pillow {features.version('pil')}).")
