"""Writes inside one transaction: documents are checked, ids and times are given, unique keys hold.

Invariant: what is written has passed its document's types; a call that changes nothing writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from schema.document import NEW, Document
from schema.paging import CursorCodec
from schema.reader import Reader
from schema.store import Transaction
from schema.values import Millis, Scalar

D = TypeVar("D", bound=Document)


class Writer(Reader):
    """A reader that may also write. `mint` makes ids, `now` is the moment of the call."""

    __slots__ = ("_mint", "_transaction", "now")

    def __init__(
        self, transaction: Transaction, cursors: CursorCodec, *, now: Millis, mint: Callable[[Millis], str]
    ) -> None:
        super().__init__(transaction, cursors)
        self._transaction, self._mint, self.now = transaction, mint, now

    async def insert(self, document: D) -> D:
        """Store a new document and return it with its id and creation time. Raises `NotUnique` at the latest at commit."""
        stored: D = msgspec.structs.replace(
            document, id=self._mint(self.now) if document.id == NEW else document.id, creation_time=self.now
        )
        await self._transaction.insert(stored)
        return stored

    async def put(self, document: D) -> D:
        """Store the one document with its id, new or in place of the old one."""
        kind = type(document)
        if await self.get(kind, document.id) is not None:
            await self._transaction.delete(kind, document.id)
        return await self.insert(document)

    async def patch(self, document: D, **changes: Scalar) -> D:
        """Change fields of a document that was read in this transaction; `None` removes one. Returns it as it is now.

        Raises `TypeError` for a field that does not exist and `msgspec.ValidationError` for a value of the wrong type.
        """
        changed = {name: value for name, value in changes.items() if getattr(document, name) != value}
        if not changed:
            return document
        kind = type(document)
        patched = msgspec.convert(msgspec.to_builtins(msgspec.structs.replace(document, **changed)), kind)
        await self._transaction.update(kind, document.id, changed)
        return patched

    async def restate(self, document: Document, *fields: str) -> None:
        """Write fields out as they are read: an absent flag and a false one read alike and are different index keys."""
        stated = {field: getattr(document, field) for field in fields}
        await self._transaction.update(type(document), document.id, stated)

    async def delete(self, document: Document) -> None:
        """Remove a document that was read in this transaction."""
        await self._transaction.delete(type(document), document.id)
