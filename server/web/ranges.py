"""Which part of a file a request asks for, and whether it has it already (RFC 9110, sections 13 and 14). Pure.

Invariant: a span lies within the file and is not empty. What is malformed is ignored, as the RFC asks; what is well
formed but cannot be had is `Unsatisfiable`.
"""

from __future__ import annotations

import re

import msgspec

MAX_DIGITS = 18
"""More digits than any file needs; longer numbers mean "to the end" without being computed."""

_ONE_RANGE = re.compile(r"[ \t]*([0-9]*)[ \t]*-[ \t]*([0-9]*)[ \t]*", re.ASCII)


class Unsatisfiable(Exception):
    """No byte of the file is in the range, or several ranges were asked for, which we do not serve."""

    def __init__(self, size: int) -> None:
        super().__init__(f"This file has {size} bytes, and one range of them can be asked for at a time.")
        self.size = size


class Span(msgspec.Struct, frozen=True):
    """Bytes from `start` up to and without `end`."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def content_range(self, size: int) -> str:
        """The span as the response names it: both ends included."""
        return f"bytes {self.start}-{self.end - 1}/{size}"


def requested(header: str | None, size: int) -> Span | None:
    """The part that a `Range` header asks for, or None for the whole file. Raises `Unsatisfiable`."""
    unit, equals, ranges = (header or "").partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    matches = [_ONE_RANGE.fullmatch(each) for each in ranges.split(",") if each.strip()]
    bounds = [(match[1], match[2]) for match in matches if match is not None]
    if not bounds or len(bounds) < len(matches) or any(_is_malformed(*each) for each in bounds):
        return None
    if len(bounds) > 1:
        raise Unsatisfiable(size)
    first, last = bounds[0]
    if first:
        span = Span(_number(first), min(_number(last) + 1, size) if last else size)
    else:
        span = Span(max(size - _number(last), 0), size)
    if span.start >= span.end:
        raise Unsatisfiable(size)
    return span


def may_be_partial(if_range: str | None, etag: str) -> bool:
    """Does the part still belong to what the client holds? Strong comparison; we never sent a date to compare with."""
    return if_range is None or if_range.strip() == etag


def has_it(if_none_match: str | None, etag: str) -> bool:
    """Does the client hold this content already? Weak comparison, as the RFC asks for here."""
    if if_none_match is None:
        return False
    held = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return etag in held or held == ["*"]


def _is_malformed(first: str, last: str) -> bool:
    return not (first or last) or (bool(first and last) and _number(last) < _number(first))


def _number(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= MAX_DIGITS else 10**MAX_DIGITS
