"""What the driver raises, as this product's own errors. The only place that knows MongoDB's error codes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import BulkWriteError, ConnectionFailure, DuplicateKeyError, OperationFailure, PyMongoError

from schema.errors import NotUnique, SnapshotGone, StoreUnavailable, WriteConflict

WRITE_CONFLICT = 112
NO_SUCH_TRANSACTION = 251
SNAPSHOT_TOO_OLD = 239
SNAPSHOT_UNAVAILABLE = 246
SNAPSHOT_NOT_YET = 72
HISTORY_LOST = frozenset({260, 280, 286, 10334})
"""InvalidResumeToken, ChangeStreamFatalError, ChangeStreamHistoryLost, BSONObjectTooLarge: this position is dead."""
NOT_NOW = frozenset({6, 7, 50, 64, 89, 91, 134, 189, 262, 9001, 10058, 10107, 11600, 11602, 13388, 13435, 13436})
"""Network trouble, stepping down, shutting down, no majority in time: the same request may succeed later."""
TRANSIENT = "TransientTransactionError"
COMMIT_UNKNOWN = "UnknownTransactionCommitResult"


@contextmanager
def translated() -> Iterator[None]:
    """Raise our error in place of the driver's; what is unknown passes through unchanged. Cancellation is heeded."""
    try:
        yield
    except PyMongoError as error:
        heed_cancellation()
        ours = meaning(error)
        if ours is None:
            raise
        raise ours from error
    heed_cancellation()


def meaning(error: PyMongoError) -> Exception | None:
    """Our error for the driver's, or None where it is a mistake of ours."""
    if isinstance(error, DuplicateKeyError):
        details = error.details or {}
        return NotUnique(_table(str(details.get("errmsg", ""))), ", ".join(details.get("keyPattern", {})))
    if isinstance(error, ConnectionFailure) or error.timeout:
        return StoreUnavailable(type(error).__name__)
    if isinstance(error, OperationFailure):
        code, in_transaction = _code(error), error.has_error_label(TRANSIENT)
        if code in NOT_NOW:
            return StoreUnavailable(f"code {code}")
        if code == NO_SUCH_TRANSACTION and not in_transaction:
            # Answers a commit that was sent again, without a majority to vouch for it: it may have been done after all.
            return StoreUnavailable(f"code {code}")
        if in_transaction or code == WRITE_CONFLICT:  # a snapshot that is gone, too: the next run begins with another
            return WriteConflict(f"code {code}")
        if code in (SNAPSHOT_TOO_OLD, SNAPSHOT_UNAVAILABLE, SNAPSHOT_NOT_YET):
            return SnapshotGone(f"code {code}")
    return None


def _code(error: OperationFailure) -> int | None:
    """What went wrong; of several writes in one, with the last that went wrong, as their own code says nothing."""
    if isinstance(error, BulkWriteError):
        met = [*error.details.get("writeConcernErrors", ()), *error.details.get("writeErrors", ())]
        return int(met[-1]["code"]) if met else error.code
    return error.code


def heed_cancellation() -> None:
    """Raise the cancellation that the driver may have swallowed: on Python 3.11 its `wait_for` does, while it sends."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _table(message: str) -> str:
    """The collection named in a duplicate key message: `... collection: app.users index: ...`."""
    _, _, rest = message.partition("collection: ")
    namespace = rest.split(" ", 1)[0]
    return namespace.partition(".")[2] or "a table"
