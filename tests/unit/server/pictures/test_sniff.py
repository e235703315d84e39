"""What the first bytes of a file say about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.pictures.sniff import AVIF, HEIC, JPEG, PNG, SNIFF_BYTES, WEBP, describe, sniff
from tests.support import pictures


@pytest.mark.parametrize(
    ("file", "content_type"),
    [
        (pictures.jpeg(), JPEG),
        (pictures.jpeg(cmyk=True, gps=True), JPEG),
        (pictures.png(), PNG),
        (pictures.webp(), WEBP),
        (pictures.webp(animated=True), WEBP),
        (pictures.heic(), HEIC),
        (pictures.avif(), AVIF),
    ],
)
def test_accepted_formats_are_known_by_their_first_bytes(file: bytes, content_type: str) -> None:
    assert sniff(file[:SNIFF_BYTES]) == content_type
    assert sniff(file) == content_type


@pytest.mark.parametrize(
    ("major", "compatible", "content_type"),
    [
        (b"heic", b"mif1heic", HEIC),
        (b"hevx", b"msf1hevx", HEIC),
        (b"mif1", b"mif1heic", HEIC),
        (b"mif1", b"mif1avif", AVIF),
        (b"avis", b"avismif1", AVIF),
        (b"isom", b"isommp42", None),
        (b"qt  ", b"qt  \x00\x00\x00\x00", None),
        (b"heic", b"avifmif1", HEIC),
    ],
)
def test_the_container_is_told_by_its_brands(major: bytes, compatible: bytes, content_type: str | None) -> None:
    assert sniff(b"\x00\x00\x00\x18ftyp" + major + b"\x00\x00\x00\x00" + compatible) == content_type


def test_brands_after_the_end_of_their_box_do_not_count() -> None:
    assert sniff(b"\x00\x00\x00\x14ftypmif1\x00\x00\x00\x00mif1" + b"avif") == HEIC


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (pictures.gif(), "a GIF"),
        (b"%PDF-1.7", "a PDF"),
        (b"PK\x03\x04rest", "a ZIP archive or office document"),
        (b"II*\x00rest", "a TIFF or camera RAW file"),
        (b"BM\x00\x00\x00\x00", "a BMP picture"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00", "a video"),
        (b"  \n<SVG xmlns='...'>", "an SVG drawing"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><svg/>", "an SVG or XML file"),
        (pictures.not_a_picture(), "a web page"),
        (b"hello", None),
        (b"", None),
    ],
)
def test_strangers_are_named_and_never_accepted(file: bytes, name: str | None) -> None:
    assert sniff(file) is None
    assert describe(file) == name


@given(st.binary(max_size=64))
def test_any_bytes_have_an_answer_and_only_the_head_counts(file: bytes) -> None:
    assert sniff(file) == sniff(file[:SNIFF_BYTES])
    assert describe(file) == describe(file[:SNIFF_BYTES])
