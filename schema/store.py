"""The seam to the database. Everything above it is written against these protocols; `server/store` implements them.

Invariant: all reads of one `Snapshot` or `Transaction` see the same moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from schema.document import Document
from schema.keys import KeyRange
from schema.values import Scalar

D = TypeVar("D", bound=Document)


class Snapshot(Protocol):
    """A read view at one timestamp."""

    async def get(self, document: type[D], document_id: str) -> D | None:
        """The document with this id."""
        ...

    async def scan(self, document: type[D], keys: KeyRange, *, descending: bool, limit: int) -> Sequence[D]:
        """At most `limit` documents of the range, in the order of its index."""
        ...

    async def count(self, document: type[D], keys: KeyRange, *, limit: int) -> int:
        """How many documents lie in the range, counted up to `limit`, from keys alone."""
        ...


class Transaction(Snapshot, Protocol):
    """A snapshot that can be written to; all of it becomes visible at once, or nothing does."""

    async def insert(self, document: Document) -> None:
        """Add a document. Raises `NotUnique`."""
        ...

    async def update(self, document: type[Document], document_id: str, changes: Mapping[str, Scalar]) -> None:
        """Set fields by their Python names; `None` removes one. Raises `NotUnique`, `WriteConflict`."""
        ...

    async def delete(self, document: type[Document], document_id: str) -> None:
        """Remove a document."""
        ...
