"""What can go wrong while reading and writing documents.

SchemaError
├── NotFound          the caller named a document that does not exist
├── NotUnique         a unique index refused the document
├── WriteConflict     another transaction was faster; run again
├── BudgetExceeded    the function read more than one call may
├── InvalidCursor     a page position that is not ours or belongs to another query
├── SnapshotGone      the timestamp can no longer (or not yet) be read
├── OutOfOrder        a migration's step must wait for another
└── StoreUnavailable  the database does not answer; try again later
"""

from __future__ import annotations


class SchemaError(Exception):
    """Root of this folder's errors."""

    retryable = False


class NotFound(SchemaError):
    """The caller named a document that does not exist."""

    def __init__(self, table: str, document_id: str) -> None:
        super().__init__(f"There is no such document in {table}.")
        self.table, self.document_id = table, document_id


class NotUnique(SchemaError):
    """A unique index refused the document."""

    def __init__(self, table: str, index: str) -> None:
        super().__init__(f"Another document of {table} has the same key in {index}.")
        self.table, self.index = table, index


class WriteConflict(SchemaError):
    """Another transaction was faster; the handler runs again."""

    retryable = True


class BudgetExceeded(SchemaError):
    """The function read more rows than one call may."""

    def __init__(self, rows: int) -> None:
        super().__init__(f"This call would read more than {rows} documents.")
        self.rows = rows


class InvalidCursor(SchemaError):
    """A page position that is not ours, or that belongs to another query."""

    def __init__(self) -> None:
        super().__init__("InvalidCursor: this position cannot be used here; start again at the first page.")


class SnapshotGone(SchemaError):
    """The timestamp can no longer, or not yet, be read; choose the newest one."""

    retryable = True


class OutOfOrder(SchemaError):
    """A migration's step must wait for another one, which has not been taken."""

    def __init__(self, step: str, other: str) -> None:
        super().__init__(f"{step[:1].upper()}{step[1:]} comes after {other}, which has not been taken.")


class StoreUnavailable(SchemaError):
    """The database does not answer; nothing was decided."""

    retryable = True
