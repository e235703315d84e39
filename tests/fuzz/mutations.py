"""What a hostile sender makes of a good message: bytes damaged anyhow, or JSON that is sound and says something absurd.

Invariant: everything is a function of the random source that is passed in, so a seed brings every input back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import TypeAlias

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

MAX_STEPS = 4
MAX_REPEATS = 200
MARK = "\ue000here\ue000"
"""Stands for a raw text while JSON is written around it."""

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63, 2**64 - 1)
KEYS = (
    "$ne",
    "$gt",
    "$where",
    "$expr",
    "$integer",
    "$bytes",
    "$float",
    "__proto__",
    "constructor",
    "_id",
    "",
    ".",
    "\u0000",
)
RAW = (
    "null", "true", "false", "0", "-0", "-1", "0.5", "1e999", "-1e999", "NaN", "Infinity", "-Infinity", "9" * 400, "1e308",
    "4294967296", "9007199254740993", "18446744073709551616", "[]", "{}", '""', '"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"',
    '"\u202e\u2028\u0085"', '{"$ne": null}', '{"$gt": ""}', '{"$where": "sleep(1000)"}', '{"__proto__": {"admin": true}}',
    '{"constructor": {"prototype": {}}}', '{"a": 1, "a": 2}', '{"$integer": "AAAA"}', '{"$float": "AAAAAAAA+H8="}',
    '{"$bytes": "!"}', '["a"]', '"' + "x" * 5_000 + '"', "[" * 70 + "]" * 70, '{"a":' * 70 + "1" + "}" * 70,
    "[" * 20_000, '{"a":' * 5_000, "[" * 5_000 + "]" * 5_000, '"\\x"', "'a'", "01", "+1", "nul", "undefined", "/**/1", ",", "",
)  # fmt: skip


def damaged(rng: Random, corpus: Sequence[bytes]) -> bytes:
    """A message of the corpus after a few accidents."""
    content = rng.choice(corpus)
    for _ in range(rng.randint(1, MAX_STEPS)):
        content = rng.choice(_ACCIDENTS)(rng, content, corpus)
    return content


def absurd(rng: Random, corpus: Sequence[bytes]) -> bytes:
    """A JSON message of the corpus in which one or two things are not what they should be."""
    document: Json = json.loads(rng.choice(corpus))
    if rng.random() < 0.3:
        document = _altered(rng, document, rng.choice(KEYS))
    altered = _altered(rng, document, MARK)
    return json.dumps(altered).replace(json.dumps(MARK), rng.choice(RAW)).encode()


def hostile(rng: Random, corpus: Sequence[bytes]) -> bytes:
    """Either of the two; of JSON messages."""
    return damaged(rng, corpus) if rng.random() < 0.4 else absurd(rng, corpus)


def conversation(rng: Random, good: Sequence[bytes]) -> list[bytes]:
    """What one socket sends: good frames as far as they go, then bad ones among good ones."""
    frames = list(good)
    for at in range(rng.randrange(len(good)), len(good)):
        if rng.random() < 0.5:
            frames[at] = hostile(rng, good)
    return frames


def _altered(rng: Random, document: Json, mark: str) -> Json:
    """The document with the mark in one place: instead of a value, as a key, or as one more item."""
    if isinstance(document, dict) and document and rng.random() < 0.8:
        key = rng.choice(sorted(document))
        match rng.random():
            case chance if chance < 0.7:
                return {**document, key: _altered(rng, document[key], mark)}
            case chance if chance < 0.8:
                return {name: value for name, value in document.items() if name != key}
            case chance if chance < 0.9:
                return {**document, rng.choice(KEYS): mark}
            case _:
                return {(mark if name == key else name): value for name, value in document.items()}
    if isinstance(document, list) and document and rng.random() < 0.7:
        at = rng.randrange(len(document))
        items = [*document[:at], _altered(rng, document[at], mark), *document[at + 1 :]]
        return items if rng.random() < 0.8 else items * rng.randint(0, 3)
    return mark


# --- accidents -------------------------------------------------------------------------------------------------------


def _flip(rng: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    if not content:
        return b"\0"
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def _cut(rng: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _lose(rng: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(rng, content)
    return content[:start] + content[end:]


def _repeat(rng: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(rng, content)
    return content[:end] + content[start:end] * rng.choice((1, 2, rng.randint(3, MAX_REPEATS))) + content[end:]


def _splice(rng: Random, content: bytes, corpus: Sequence[bytes]) -> bytes:
    other = rng.choice(corpus)
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]


def _number(rng: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    width = rng.choice((1, 2, 4, 8))
    number = (rng.choice(NUMBERS) % (1 << (8 * width))).to_bytes(width, rng.choice(("big", "little")))
    at = rng.randrange(len(content) + 1)
    return content[:at] + number + content[at + width :]


def _noise(rng: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.randbytes(rng.randint(1, 16)) + content[at:]


def _word(rng: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.choice((*RAW, *KEYS, "\r\n", "\x1b[2J", "%00", "../", "\ufeff")).encode() + content[at:]


def _span(rng: Random, content: bytes) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.randint(1, 64))


_ACCIDENTS: tuple[Callable[[Random, bytes, Sequence[bytes]], bytes], ...] = (
    _flip, _flip, _cut, _lose, _repeat, _splice, _number, _noise, _word,
)  # fmt: skip
