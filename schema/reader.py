"""Index-first reads that record exactly what they depended on.

Invariant: the read set covers every key whose insertion, change or removal could alter what was returned, and a scan
grows it only as far as it went.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from schema.document import Document, Range, table_of
from schema.errors import BudgetExceeded, NotFound
from schema.keys import Key, KeyRange, after, one_document, value_of
from schema.paging import END, CursorCodec, Page, Paging, Position, binding_of, interval
from schema.readset import ReadSet
from schema.store import Snapshot
from schema.values import Id, Millis

D = TypeVar("D", bound=Document)

MAX_ROWS_PER_CALL = 16_384
MIN_PAGE_BATCH_ROWS = 16
MAX_PAGE_BATCH_ROWS = 256
MAX_PAGE_ROWS = MAX_ROWS_PER_CALL // 2
PAGE_ROWS_PER_ITEM = 8
"""How many rows a page may look at for each item it was asked for before it ends early."""


class Reader:
    """Reads one snapshot for one function call and keeps the call's read set, journal and budget."""

    __slots__ = ("_cursors", "_deadline", "_journal", "_ranges", "_rows_left", "_snapshot", "new_journal")

    def __init__(self, snapshot: Snapshot, cursors: CursorCodec, journal: str | None = None) -> None:
        self._snapshot, self._cursors, self._journal = snapshot, cursors, journal
        self._ranges: dict[KeyRange, None] = {}
        self._deadline: Millis | None = None
        self._rows_left = MAX_ROWS_PER_CALL
        self.new_journal: str | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._ranges)} ranges, {self._rows_left} rows left>"

    @property
    def documents_read(self) -> int:
        """How many documents were looked up or scanned so far; counting reads none."""
        return MAX_ROWS_PER_CALL - self._rows_left

    def read_set(self, facets: frozenset[str] = frozenset()) -> ReadSet:
        """What this call depended on so far."""
        return ReadSet(tuple(self._ranges), facets, self._deadline)

    def expire_at(self, moment: Millis) -> None:
        """Time alone changes the answer at `moment`."""
        self._deadline = moment if self._deadline is None else min(self._deadline, moment)

    async def get(self, document: type[D], document_id: Id[D]) -> D | None:
        """The document with this id, or None."""
        self._spend(1)
        self._ranges[one_document(table_of(document).name, document_id)] = None
        return await self._snapshot.get(document, document_id)

    async def need(self, document: type[D], document_id: Id[D]) -> D:
        """The document with this id. Raises `NotFound`."""
        found = await self.get(document, document_id)
        if found is None:
            raise NotFound(table_of(document).name, document_id)
        return found

    async def one(self, range_: Range[D]) -> D | None:
        """The first document of the range."""
        found = await self.take(range_, 1)
        return found[0] if found else None

    async def exists(self, range_: Range[D]) -> bool:
        """Is there any document in the range?"""
        return await self.one(range_) is not None

    async def take(self, range_: Range[D], limit: int) -> list[D]:
        """The first `limit` documents of the range in its order."""
        rows = await self._fetch(range_, limit)
        self._record(range_, self._key(range_, rows[-1]) if len(rows) == limit else None)
        return rows

    async def count(self, range_: Range[D], at_most: int = MAX_ROWS_PER_CALL) -> int:
        """How many documents lie in the range, counted from keys alone and up to `at_most`."""
        self._ranges[range_.keys] = None
        return await self._snapshot.count(range_.document, range_.keys, limit=at_most)

    async def page(self, range_: Range[D], opts: Paging, keep: Callable[[D], bool] = lambda _: True) -> Page[D]:
        """One page of the documents that `keep` accepts, filled up to `num_items` or until the read budget ends it.

        A page whose end is fixed, by the client or by the journal, holds all of its interval (sync-protocol 7.2).
        Raises `InvalidCursor`. A function pages at most once.
        """
        binding = binding_of(range_.keys)
        start = self._cursors.open(binding, opts.cursor) if opts.cursor is not None else None
        if start is not None and start.is_end:  # a client that steps on past the last page
            self.new_journal = opts.cursor
            return Page(page=[], is_done=True, continue_cursor=self._cursors.seal(binding, END))
        fixed = opts.end_cursor if opts.end_cursor is not None else self._journal
        if fixed is not None:
            end = self._cursors.open(binding, fixed)
            rows = await self._all(interval(range_, start, end))
        else:
            rows, end = await self._fill(interval(range_, start, None), opts, keep)
        self._ranges[interval(range_, start, end).keys] = None
        rows = [row for row in rows if keep(row)]
        sealed = self._cursors.seal(binding, end)
        self.new_journal = sealed
        middle = self._position(range_, rows[(len(rows) - 1) // 2]) if len(rows) > 1 else None
        return Page(
            page=rows,
            is_done=end.is_end,
            continue_cursor=sealed,
            split_cursor=self._cursors.seal(binding, middle) if middle else None,
        )

    async def _all(self, range_: Range[D]) -> list[D]:
        rows: list[D] = []
        while True:
            batch = await self._fetch(range_, MAX_PAGE_BATCH_ROWS)
            rows += batch
            if len(batch) < MAX_PAGE_BATCH_ROWS:
                return rows
            range_ = self._beyond(range_, batch[-1])

    async def _fill(self, range_: Range[D], opts: Paging, keep: Callable[[D], bool]) -> tuple[list[D], Position]:
        """The rows looked at, and where the page ends: at the row that fills it, or where the budget or the range ends."""
        wanted = int(opts.num_items)
        budget = min(
            int(opts.maximum_rows_read or max(MAX_PAGE_BATCH_ROWS, wanted * PAGE_ROWS_PER_ITEM)), MAX_PAGE_ROWS
        )
        rows: list[D] = []
        kept = 0
        while True:
            limit = min(max(MIN_PAGE_BATCH_ROWS, 2 * (wanted - kept)), budget - len(rows), MAX_PAGE_BATCH_ROWS)
            batch = await self._fetch(range_, limit)
            for row in batch:
                rows.append(row)
                kept += keep(row)
                if kept == wanted:
                    break
            else:
                if len(batch) < limit:
                    return rows, END
            if kept == wanted or len(rows) >= budget:
                beyond = self._beyond(range_, rows[-1])
                more = await self._snapshot.count(beyond.document, beyond.keys, limit=1)
                return rows, self._position(range_, rows[-1]) if more else END
            range_ = self._beyond(range_, rows[-1])

    async def _fetch(self, range_: Range[D], limit: int) -> list[D]:
        if range_.keys.is_empty():
            return []
        self._spend(limit)
        rows = await self._snapshot.scan(range_.document, range_.keys, descending=range_.descending, limit=limit)
        self._rows_left += limit - len(rows)
        return list(rows)

    def _spend(self, rows: int) -> None:
        self._rows_left -= rows
        if self._rows_left < 0:
            raise BudgetExceeded(MAX_ROWS_PER_CALL)

    def _record(self, range_: Range[D], last: Key | None) -> None:
        keys = range_.keys
        if last is not None:
            keys = keys.narrowed(low=last) if range_.descending else keys.narrowed(high=after(last))
        self._ranges[keys] = None

    def _key(self, range_: Range[D], row: D) -> Key:
        """The row's key in the range's index, without the prefix."""
        index = table_of(range_.document).indexes[range_.keys.index]
        return index.key_of(row)[len(range_.keys.prefix) :]

    def _position(self, range_: Range[D], row: D) -> Position:
        return Position(tuple(value_of(part) for part in self._key(range_, row)))

    def _beyond(self, range_: Range[D], row: D) -> Range[D]:
        return interval(range_, self._position(range_, row), None)
