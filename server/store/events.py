"""Change stream events as write sets: the keys under which each document was found before and after.

Invariant: every index key that a commit changed, or whose document it changed, is in its write set; where the images are
missing the whole table is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC
from itertools import groupby
from math import inf
from typing import Any

from schema.document import Table
from schema.keys import BY_ID, key_of
from schema.readset import Commit, Touch, WriteSet, united
from schema.tables import EVERYTHING, TABLES
from schema.values import Millis
from server.store.codec import timestamp

RawDocument = dict[str, Any]

DOCUMENT_EVENTS = frozenset({"insert", "update", "replace", "delete"})
SUMMARY = "summary"
"""Our own kind: stands for many events of one commit."""


def pipeline() -> list[RawDocument]:
    """The stream of a whole database: both images, cut down to what the indexes need."""
    needed = {name for table in TABLES.values() for index in table.indexes.values() for name in index.wire_fields} | {
        "_id"
    }
    images = {f"{image}.{name}": 1 for image in ("fullDocument", "fullDocumentBeforeChange") for name in sorted(needed)}
    shown = {"operationType": 1, "ns": 1, "documentKey": 1, "clusterTime": 1, "wallTime": 1, **images}
    return [{"$project": shown}]


def commits(events: Sequence[RawDocument]) -> list[Commit]:
    """Events in order as commits: one for each cluster time, since a transaction's events share theirs."""
    grouped: Iterator[tuple[Any, Iterable[RawDocument]]] = groupby(events, key=lambda event: event["clusterTime"])
    return [_commit(time, list(group)) for time, group in grouped]


def _commit(time: Any, events: Sequence[RawDocument]) -> Commit:
    return Commit(timestamp(time), united(write_set(event) for event in events), _moment(events[-1]))


def _moment(event: RawDocument) -> Millis:
    """When it was, by the clock of the database: a cluster time counts whole seconds."""
    wall = event.get("wallTime")
    return inf if wall is None else float(wall.replace(tzinfo=UTC).timestamp()) * 1_000


def summary(held: Sequence[RawDocument]) -> RawDocument:
    """One event in place of many of the same commit, from which only their tables can be told."""
    tables = frozenset[str]().union(*map(_tables, held))
    return {**held[-1], "operationType": SUMMARY, "tables": tables}


def _tables(event: RawDocument) -> frozenset[str]:
    if event["operationType"] in DOCUMENT_EVENTS:
        return frozenset({event["ns"]["coll"]}) & TABLES.keys()
    return write_set(event).tables


def write_set(event: RawDocument) -> WriteSet:
    """What one event touched."""
    kind = event["operationType"]
    if kind == SUMMARY:
        return WriteSet(tables=event["tables"])
    if kind not in DOCUMENT_EVENTS:
        name = event.get("ns", {}).get("coll")
        return WriteSet(tables=frozenset({name})) if kind == "drop" and name in TABLES else EVERYTHING
    table = TABLES.get(event["ns"]["coll"])
    if table is None:
        return WriteSet()
    before, after = event.get("fullDocumentBeforeChange"), event.get("fullDocument")
    if (kind != "insert" and before is None) or (kind != "delete" and after is None):
        return WriteSet(tables=frozenset({table.name}))
    try:
        found = (*_touches(table, before), *_touches(table, after), _by_id(table, event["documentKey"]))
    except TypeError:  # an edit by hand has put something into an indexed field that no document of ours can hold
        return WriteSet(tables=frozenset({table.name}))
    return WriteSet(frozenset(found))


def _by_id(table: Table, key: RawDocument) -> Touch:
    return Touch(table.name, BY_ID, key_of(key["_id"]))


def _touches(table: Table, image: RawDocument | None) -> Iterator[Touch]:
    if image is not None:
        for index in table.indexes.values():
            yield Touch(table.name, index.name, index.key(image))
