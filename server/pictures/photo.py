"""An uploaded photo, made safe to keep and to show: decoded once, upright, sRGB, without metadata, freshly encoded.

Uploaded bytes are never passed on. The size in the header is judged before any pixel is decoded, and whatever a
decoder thinks of the file, callers see a `Photo` or a `BadPhoto`.
"""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec
from PIL import AvifImagePlugin, Image, ImageCms, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
from pillow_heif import HeifImageFile
from pillow_heif import options as heif_options

from server.pictures.errors import BadPhoto
from server.pictures.sniff import AVIF, HEIC, JPEG, PNG, WEBP, describe, sniff

__all__ = ["MAX_STORED_SIDE_PX", "BadPhoto", "Photo", "inspect_photo"]

MAX_PHOTO_PX = 50_000_000
MAX_SIDE_PX = 12_000
MIN_SIDE_PX = 16
MAX_STORED_SIDE_PX = 2560
PLACEHOLDER_SIDE_PX = 16
JPEG_QUALITY = 90
WEBP_QUALITY = 90
WEBP_METHOD = 3
PNG_COMPRESSION = 4
PLACEHOLDER_QUALITY = 30

_ACCEPTED = "JPEG, PNG, WebP, HEIC and AVIF photos"
_DAMAGED = "This file is damaged or cut off. Try exporting it again."

_DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
    MemoryError,
    RuntimeError,
    LookupError,
    TypeError,
    ArithmeticError,
    ImageCms.PyCMSError,
    Image.DecompressionBombError,
    Warning,
)
"""What the format plugins raise on hostile bytes: some by intent (RuntimeError is AVIF's), lookups and types by slip
when a tag is impossible, warnings where a filter makes them errors."""

_OPENERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    JPEG: JpegImagePlugin.JpegImageFile,
    PNG: PngImagePlugin.PngImageFile,
    WEBP: WebPImagePlugin.WebPImageFile,
    HEIC: HeifImageFile,
    AVIF: AvifImagePlugin.AvifImageFile,
}
"""Plugins are called directly: `Image.open` warns or raises about size before we can say how large the picture is."""

_STORED_AS = {JPEG: JPEG, PNG: PNG, WEBP: WEBP, HEIC: JPEG, AVIF: JPEG}
"""Formats every browser shows stay what they are."""

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = frozenset({5, 6, 7, 8})

Image.MAX_IMAGE_PIXELS = MAX_PHOTO_PX
heif_options.THUMBNAILS = False
heif_options.DECODE_THREADS = 1
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


class Photo(msgspec.Struct, frozen=True):
    """A photo ready to be stored. `width` and `height` are those of the upload, upright, before scaling down."""

    content: bytes
    content_type: str
    source_content_type: str
    width: int
    height: int
    placeholder: str


def inspect_photo(source: Path | bytes, *, stored_as: str | None = None) -> Photo:
    """Decode an upload completely and make the picture we keep; anything unusable raises BadPhoto.

    `stored_as` is the content type to keep it in, where its own will not do.
    """
    upload = source.read_bytes() if isinstance(source, Path) else source
    source_type = _recognise(upload)
    content_type = stored_as or _STORED_AS[source_type]
    try:
        with _OPENERS[source_type](io.BytesIO(upload)) as opened:
            _check_size(*opened.size)
            picture, (width, height) = _normalise(opened, keep_alpha=content_type != JPEG)
    except Image.DecompressionBombError:
        raise BadPhoto(f"This picture is too large; the limit is {MAX_PHOTO_PX // 1_000_000} megapixels.") from None
    except _DECODER_ERRORS:
        raise BadPhoto(_DAMAGED) from None
    return Photo(
        content=_encode(picture, content_type),
        content_type=content_type,
        source_content_type=source_type,
        width=width,
        height=height,
        placeholder=_placeholder(picture),
    )


def measured(picture: bytes) -> Photo:
    """A WebP picture of our own making, as it is, with its size and placeholder."""
    with Image.open(io.BytesIO(picture), formats=("WEBP",)) as opened:
        opened.load()
        return Photo(
            content=picture,
            content_type=WEBP,
            source_content_type=WEBP,
            width=opened.width,
            height=opened.height,
            placeholder=_placeholder(opened.convert("RGBA")),
        )


def _recognise(upload: bytes) -> str:
    if not upload:
        raise BadPhoto("This file is empty. Try choosing the photo again.")
    accepted = sniff(upload)
    if accepted is not None:
        return accepted
    stranger = describe(upload)
    if stranger is not None:
        raise BadPhoto(f"This is {stranger}; we take {_ACCEPTED}.")
    raise BadPhoto(f"This file is not a photo we can read; we take {_ACCEPTED}.")


def _check_size(width: int, height: int) -> None:
    dimensions = f"{width:,} x {height:,} pixels"
    if min(width, height) < MIN_SIDE_PX:
        raise BadPhoto(f"This picture is too small: {dimensions}; each side needs at least {MIN_SIDE_PX}.")
    if max(width, height) > MAX_SIDE_PX:
        raise BadPhoto(f"This picture is too large: {dimensions}; the limit is {MAX_SIDE_PX:,} on a side.")
    if width * height > MAX_PHOTO_PX:
        limit = f"{MAX_PHOTO_PX // 1_000_000} megapixels"
        raise BadPhoto(f"This picture is too large: {dimensions}; the limit is {limit}.")


def _normalise(opened: ImageFile.ImageFile, *, keep_alpha: bool) -> tuple[Image.Image, tuple[int, int]]:
    """The upright sRGB picture at stored size, free of metadata, and the upright size of the upload."""
    width, height = opened.size
    stored = _fit(width, height, MAX_STORED_SIDE_PX)
    opened.draft(None, stored)
    opened.load()
    orientation = _orientation(opened)
    profile = opened.info.get("icc_profile")
    picture = _plain_mode(opened)
    if picture.size != stored:
        picture = picture.resize(stored, Image.Resampling.LANCZOS, reducing_gap=3.0)
    picture = _to_srgb(picture, profile if isinstance(profile, bytes) else None)
    if not keep_alpha:
        picture = _on_white(picture)
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    clean = Image.new(picture.mode, picture.size)
    clean.paste(picture)
    return clean, (height, width) if orientation in _SIDEWAYS else (width, height)


def _orientation(opened: ImageFile.ImageFile) -> int:
    try:
        value = opened.getexif().get(_ORIENTATION_TAG)
    except _DECODER_ERRORS:
        return 1
    return value if isinstance(value, int) else 1


def _plain_mode(picture: Image.Image) -> Image.Image:
    """L, RGB, RGBA or CMYK, 8 bits each, so that scaling and colour conversion mean what they say."""
    if picture.mode.startswith("I;16"):
        return picture.point(lambda value: value * (1 / 256)).convert("L")
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    if picture.mode == "1":
        return picture.convert("L")
    return picture if picture.mode in ("L", "RGB", "CMYK") else picture.convert("RGB")


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    mode = "RGBA" if picture.mode == "RGBA" else "RGB"
    if profile is not None:
        alpha = picture.getchannel("A") if mode == "RGBA" else None
        colours = picture.convert("RGB") if mode == "RGBA" else picture
        try:
            converted = ImageCms.profileToProfile(
                colours, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except _DECODER_ERRORS:
            converted = None
        if converted is not None:
            if alpha is not None:
                converted.putalpha(alpha)
            return converted
    return picture if picture.mode == mode else picture.convert(mode)


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture.getchannel("A"))
    return white


def _fit(width: int, height: int, side: int) -> tuple[int, int]:
    longest = max(width, height)
    if longest <= side:
        return width, height
    return max(1, round(width * side / longest)), max(1, round(height * side / longest))


def _encode(picture: Image.Image, content_type: str) -> bytes:
    out = io.BytesIO()
    if content_type == JPEG:
        picture.save(out, "JPEG", quality=JPEG_QUALITY)
    elif content_type == WEBP:
        picture.save(out, "WEBP", quality=WEBP_QUALITY, method=WEBP_METHOD)
    else:
        picture.save(out, "PNG", compress_level=PNG_COMPRESSION)
    return out.getvalue()


def _placeholder(picture: Image.Image) -> str:
    tiny = _on_white(picture.resize(_fit(*picture.size, PLACEHOLDER_SIDE_PX), Image.Resampling.BOX))
    out = io.BytesIO()
    tiny.save(out, "WEBP", quality=PLACEHOLDER_QUALITY, method=WEBP_METHOD)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode("ascii")
