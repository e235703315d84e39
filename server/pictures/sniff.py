"""What a file is, told from its first bytes: never from its name or the type its sender claims.

`sniff` names the formats we take, `describe` the ones people send by mistake. Both are pure, total, and look at no
more than SNIFF_BYTES, so an upload can be judged while it is still arriving.
"""

from __future__ import annotations

SNIFF_BYTES = 32

JPEG = "image/jpeg"
PNG = "image/png"
WEBP = "image/webp"
HEIC = "image/heic"
AVIF = "image/avif"

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_NEUTRAL_BRANDS = frozenset({b"mif1", b"msf1", b"mif2", b"miaf"})
"""Brands of the container alone; the compatible brands that follow say which codec is inside."""

_STRANGERS = (
    (b"GIF87a", "a GIF"),
    (b"GIF89a", "a GIF"),
    (b"BM", "a BMP picture"),
    (b"II*\x00", "a TIFF or camera RAW file"),
    (b"MM\x00*", "a TIFF or camera RAW file"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive or office document"),
    (b"8BPS", "a Photoshop file"),
    (b"\x00\x00\x01\x00", "an icon file"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
)
_MARKUP = (
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an SVG or XML file"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
)


def sniff(head: bytes) -> str | None:
    """The content type of a format we accept, or None."""
    head = head[:SNIFF_BYTES]
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] == b"ftyp":
        return _sniff_container(head)
    return None


def describe(head: bytes) -> str | None:
    """A well-known format we do not accept, named with its article ("a GIF"), or None."""
    head = head[:SNIFF_BYTES]
    for signature, name in _STRANGERS:
        if head.startswith(signature):
            return name
    if head[4:8] == b"ftyp":
        return "a video"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((name for opening, name in _MARKUP if text.startswith(opening)), None)


def _sniff_container(head: bytes) -> str | None:
    major = head[8:12]
    end = min(int.from_bytes(head[:4], "big"), len(head))
    compatible = {head[at : at + 4] for at in range(16, end - 3, 4)}
    if major in _AVIF_BRANDS or (major in _NEUTRAL_BRANDS and compatible & _AVIF_BRANDS):
        return AVIF
    if major in _HEIC_BRANDS or major in _NEUTRAL_BRANDS:
        return HEIC
    return None
