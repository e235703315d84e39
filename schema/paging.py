"""Pages: what a client asks for, what it gets, and where a page ends.

A page is the half-open interval (cursor, end] of an index in reading order (sync-protocol 7.2). Its end is chosen once and
journalled; pages that abut therefore neither gap nor overlap, whatever is inserted or deleted later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Generic, Literal, Protocol, TypeVar

import msgspec

from schema.document import D, Range
from schema.errors import InvalidCursor
from schema.keys import LAST, Key, KeyRange, after, part
from schema.values import Scalar, camel

T = TypeVar("T")
U = TypeVar("U")

MAX_PAGE_ITEMS = 1_000
MAX_CURSOR_CHARS = 2_048

Cursor = Annotated[str, msgspec.Meta(max_length=MAX_CURSOR_CHARS)]


class Paging(msgspec.Struct, frozen=True, kw_only=True, rename=camel):
    """A client's `paginationOpts`. `id` is a cache-buster of `usePaginatedQuery`; its value means nothing."""

    num_items: Annotated[float, msgspec.Meta(ge=1, le=MAX_PAGE_ITEMS)]
    cursor: Cursor | None
    end_cursor: Cursor | None = None
    id: float | None = None
    maximum_rows_read: Annotated[float, msgspec.Meta(ge=1)] | None = None
    maximum_bytes_read: float | None = None


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True, rename=camel):
    """One page. `continue_cursor` is where the next begins, `split_cursor` where this one may be cut in two."""

    page: list[T]
    is_done: bool
    continue_cursor: str
    split_cursor: str | None = None
    page_status: Literal["SplitRecommended", "SplitRequired"] | None = None

    def map(self, change: Callable[[T], U]) -> Page[U]:
        """The same page of other items."""
        return Page(
            page=[change(item) for item in self.page],
            is_done=self.is_done,
            continue_cursor=self.continue_cursor,
            split_cursor=self.split_cursor,
            page_status=self.page_status,
        )


class Position(msgspec.Struct, frozen=True):
    """A place in an index: the values of the key after the prefix. Empty is the end of the range."""

    values: tuple[Scalar, ...]

    @property
    def is_end(self) -> bool:
        """Is this the end of the whole range?"""
        return not self.values

    def key(self) -> Key:
        """The position as a key."""
        return tuple(part(value) for value in self.values)


END = Position(())


class CursorCodec(Protocol):
    """Turns positions into signed text and back. `binding` is what the text is valid for."""

    def seal(self, binding: str, position: Position) -> str:
        """The position as text that clients cannot make up."""
        ...

    def open(self, binding: str, text: str) -> Position:
        """The position again. Raises `InvalidCursor`."""
        ...


def binding_of(keys: KeyRange) -> str:
    """What a cursor is bound to: the range that is paged, so that it fits no other query and no other person's."""
    return msgspec.json.encode((keys.table, keys.index, keys.prefix)).decode()


def interval(range_: Range[D], start: Position | None, end: Position | None) -> Range[D]:
    """The part of the range strictly after `start` and up to and including `end`, in its reading order.

    Raises `InvalidCursor` when the start is the end of the range: nothing follows it.
    """
    if start is not None and start.is_end:
        raise InvalidCursor
    low: Key | None = None
    high: Key | None = None
    if range_.descending:
        high = start.key() if start else None
        low = end.key() if end and not end.is_end else None
    else:
        low = after(start.key()) if start else None
        high = after(end.key()) if end and not end.is_end else None
    if high == (LAST,):
        high = None
    return Range(range_.document, range_.keys.narrowed(low, high), range_.descending)
