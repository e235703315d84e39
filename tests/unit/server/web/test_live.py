"""Frames that are finished once for all lines of a form."""

from __future__ import annotations

import random
import zlib

import pytest

from server.web.live import DEFLATE_FROM_BYTES, DEFLATED, TEXT, finished
from subscriptions.push import Push

END = b"\x00\x00\xff\xff"
WINDOWS = (9, 10, 12, 15)


def words(size: int) -> bytes:
    chance = random.Random(size)
    return " ".join(chance.choice(("gallery", "credit", "leak", "äöü", "夢")) for _ in range(size)).encode()[:size]


def body_of(frame: bytes) -> tuple[int, bytes]:
    """The first byte, and what follows the length, which must be right."""
    if frame[1] < 126:
        start, size = 2, frame[1]
    elif frame[1] == 126:
        start, size = 4, int.from_bytes(frame[2:4], "big")
        assert size >= 126
    else:
        start, size = 10, int.from_bytes(frame[2:10], "big")
        assert size >= 1 << 16
    assert len(frame) == start + size
    return frame[0], frame[start:]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_plain_frames_carry_the_text(size: int) -> None:
    assert body_of(finished(Push(words(size)), None)) == (TEXT, words(size))


@pytest.mark.parametrize("bits", WINDOWS)
@pytest.mark.parametrize("size", [DEFLATE_FROM_BYTES, 5_000, 60_000, 300_000])
def test_a_window_is_not_exceeded(size: int, bits: int) -> None:
    """A decoder with the window agreed on, knowing no earlier message, reads it."""
    text = words(size)
    head, body = body_of(finished(Push(text), bits))
    assert head == DEFLATED
    assert len(body) < len(text)
    assert zlib.decompressobj(-bits).decompress(body + END) == text


def test_short_ones_are_not_worth_it() -> None:
    text = words(DEFLATE_FROM_BYTES - 1)
    assert body_of(finished(Push(text), 15)) == (TEXT, text)


def test_each_form_is_made_once() -> None:
    push = Push(words(5_000))
    forms = [finished(push, bits) for bits in (*WINDOWS, None)]
    assert [finished(push, bits) for bits in (*WINDOWS, None)] == forms
    assert all(finished(push, bits) is form for bits, form in zip((*WINDOWS, None), forms, strict=True))
    assert repr(push) == "<Push 5000 bytes, 5 forms>"
