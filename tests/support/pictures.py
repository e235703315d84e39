"""Real image files drawn by code: the tests and demos carry no binary fixtures.

Every maker returns the bytes of a finished file and is deterministic. Photo-like files share one scene,
`corners`, whose four corners differ so that a lost rotation or mirroring shows.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Final

import pillow_heif
from PIL import Image, ImageCms

from tests.support.scenes import fruit, landscape, portrait

__all__ = [
    "BOTTOM_LEFT",
    "BOTTOM_RIGHT",
    "COMMENT",
    "MAKER",
    "TOP_LEFT",
    "TOP_RIGHT",
    "avif",
    "bomb",
    "corners",
    "fruit",
    "gif",
    "heic",
    "jpeg",
    "landscape",
    "not_a_picture",
    "png",
    "portrait",
    "truncated",
    "webp",
    "with_profile",
]

TOP_LEFT: Final = (220, 40, 40)
TOP_RIGHT: Final = (40, 180, 60)
BOTTOM_LEFT: Final = (50, 70, 220)
BOTTOM_RIGHT: Final = (240, 210, 60)

ORIENTATION_TAG: Final = 0x0112
GPS_IFD: Final = 0x8825
MAKER: Final = "LeakyCam"
"""Written into the EXIF of `gps` files, so a test can search a result for it."""
COMMENT: Final = b"shot at home, 12 Secret Street"

_STORED_FROM_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def corners(width: int, height: int) -> Image.Image:
    """Four flat quarters: red, green / blue, yellow."""
    scene = Image.new("RGB", (width, height), TOP_LEFT)
    half_w, half_h = width // 2, height // 2
    scene.paste(TOP_RIGHT, (half_w, 0, width, half_h))
    scene.paste(BOTTOM_LEFT, (0, half_h, half_w, height))
    scene.paste(BOTTOM_RIGHT, (half_w, half_h, width, height))
    return scene


def jpeg(
    width: int = 96, height: int = 64, orientation: int | None = None, gps: bool = False, cmyk: bool = False
) -> bytes:
    """A JPEG that *shows* `corners(width, height)` once its orientation tag is honoured."""
    scene = corners(width, height)
    if orientation in _STORED_FROM_UPRIGHT:
        scene = scene.transpose(_STORED_FROM_UPRIGHT[orientation])
    if cmyk:
        scene = scene.convert("CMYK")
    return _save(scene, "JPEG", quality=92, exif=_exif(orientation, gps), comment=COMMENT if gps else b"")


def png(width: int = 96, height: int = 64, mode: str = "RGB", gps: bool = False) -> bytes:
    """A PNG of any mode Pillow writes: 1, L, LA, P, RGB, RGBA, and I;16 (a gray ramp using all 16 bits).

    RGBA and LA are transparent in the right half; P carries a transparent palette entry.
    """
    if mode == "I;16":
        row = b"".join(struct.pack("<H", x * 65535 // (width - 1)) for x in range(width))
        return _save(Image.frombytes("I;16", (width, height), row * height), "PNG")
    scene = corners(width, height)
    if mode in ("RGBA", "LA"):
        scene.putalpha(_left_half(width, height))
    if mode == "P":
        palette = scene.quantize(8)
        return _save(palette, "PNG", transparency=palette.getpixel((width - 1, height - 1)), exif=_exif(None, gps))
    return _save(scene.convert(mode), "PNG", exif=_exif(None, gps))


def webp(width: int = 96, height: int = 64, animated: bool = False, alpha: bool = False, gps: bool = False) -> bytes:
    """A WebP; animated, its second frame is black."""
    scene = corners(width, height)
    if alpha:
        scene.putalpha(_left_half(width, height))
    if animated:
        black = Image.new(scene.mode, scene.size, "black")
        return _save(scene, "WEBP", save_all=True, append_images=[black], duration=100, quality=90)
    return _save(scene, "WEBP", quality=90, exif=_exif(None, gps))


def heic(
    width: int = 96, height: int = 64, orientation: int | None = None, gps: bool = False, alpha: bool = False
) -> bytes:
    """A HEIC like a phone's; keep it small, the encoder is slow."""
    scene = corners(width, height)
    if orientation in _STORED_FROM_UPRIGHT:
        scene = scene.transpose(_STORED_FROM_UPRIGHT[orientation])
    if alpha:
        scene.putalpha(_left_half(width, height))
    container = pillow_heif.from_pillow(scene)
    out = io.BytesIO()
    container.save(out, quality=90, chroma=444, exif=_exif(orientation, gps) or None)
    return out.getvalue()


def avif(width: int = 96, height: int = 64, gps: bool = False) -> bytes:
    """An AVIF."""
    return _save(corners(width, height), "AVIF", quality=90, speed=9, exif=_exif(None, gps))


def gif(width: int = 96, height: int = 64) -> bytes:
    """A GIF: a picture, but none we take."""
    return _save(corners(width, height), "GIF")


def with_profile(colour: tuple[int, int, int], broken: bool = False) -> bytes:
    """A PNG of one colour whose profile swaps red and green: red in the file means green on the screen."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")
    return _save(Image.new("RGB", (32, 32), colour), "PNG", icc_profile=b"no profile" if broken else swapped)


def truncated(file: bytes, keep: float = 0.5) -> bytes:
    """The first part of a file, as a broken upload leaves it."""
    return file[: int(len(file) * keep)]


def bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """A PNG of a few dozen bytes whose header promises a huge picture."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\x00")
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def not_a_picture() -> bytes:
    """A web page, as one might smuggle in under the name photo.jpg."""
    return b"<!DOCTYPE html><html><script>alert(document.cookie)</script></html>"


def _left_half(width: int, height: int) -> Image.Image:
    mask = Image.new("L", (width, height), 0)
    mask.paste(255, (0, 0, width // 2, height))
    return mask


def _exif(orientation: int | None, gps: bool) -> bytes:
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION_TAG] = orientation
    if gps:
        exif[0x010F] = MAKER
        exif.get_ifd(GPS_IFD).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return exif.tobytes() if exif else b""


def _save(scene: Image.Image, format_name: str, **options: object) -> bytes:
    out = io.BytesIO()
    scene.save(out, format_name, **options)
    return out.getvalue()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
