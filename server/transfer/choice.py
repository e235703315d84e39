"""Which tables are exported, in which order they come back, and what a row becomes on the way.

Jobs come last: work that comes back finds everything that it is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jobs.states import apply
from schema.billing import LedgerAudit
from schema.blobs import Blob
from schema.document import table_of
from schema.system import Job, Pulse, Secret, Vitals
from schema.tables import TABLES
from schema.values import Millis

RawDocument = dict[str, Any]

LEFT_OUT: Final[Mapping[str, str]] = {
    table_of(Pulse).name: "heartbeats of processes that will not be there",
    table_of(Vitals).name: "how they were",
    table_of(LedgerAudit).name: "what an audit found elsewhere: the restored ledger is audited anew",
    table_of(Secret).name: "keys: whoever has them opens private files; a restored server makes its own",
}
"""Tables that stay behind, and why."""
JOBS: Final = table_of(Job).name
BLOBS: Final = table_of(Blob).name


def exported() -> list[str]:
    """The tables of an export, in the order in which they are written and read."""
    return [*(name for name in TABLES if name not in LEFT_OUT and name != JOBS), JOBS]


def as_restored(table: str, row: RawDocument, now: Millis) -> RawDocument:
    """The row as it should come back: a job that was running is handed back, for its worker is gone.

    As when a worker stops in time: the attempt keeps its number, and the job is allowed one more.
    """
    if table != JOBS or row["state"] != "leased":
        return row
    kept = {name: value for name, value in row.items() if name != "worker"}
    return {**kept, "state": apply("leased", "hand_back"), "maxAttempts": row["maxAttempts"] + 1, "dueAt": now}
