"""Documents to BSON fields and back. BSON stops here: beyond this file there are only typed documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from bson import MaxKey, MinKey
from bson import Timestamp as BsonTimestamp

from schema.document import Document, Table, table_of
from schema.keys import Bound
from schema.values import Scalar, Timestamp, integral

D = TypeVar("D", bound=Document)


def encode(document: Document) -> dict[str, Any]:
    """A document as fields by wire name; what is None is absent."""
    table = table_of(type(document))
    fields: dict[str, Any] = {name: value for name, value in msgspec.to_builtins(document).items() if value is not None}
    if table.ttl_field is not None:
        fields[table.ttl_field] = datetime.fromtimestamp(fields[table.ttl_field] / 1_000, UTC)
    return fields


def decode(kind: type[D], fields: Mapping[str, Any]) -> D:
    """Fields as a document. A whole double is read as the integer it equals, so an edit by hand in a shell does not break us."""
    table = table_of(kind)
    plain: dict[str, Any] = {name: integral(value) for name, value in fields.items()}
    if table.ttl_field is not None:
        plain[table.ttl_field] = plain[table.ttl_field].replace(tzinfo=UTC).timestamp() * 1_000
    return msgspec.convert(plain, kind)


def edge(bound: Bound, table: Table, index: str) -> dict[str, Any]:
    """One end of a range as MongoDB's `min` or `max` of that index: every field is named."""
    names = (*table.indexes[index].wire_fields, "_id")
    filler: Any = MaxKey() if bound.at_end else MinKey()
    values: tuple[Any, ...] = (*bound.values, *(filler for _ in names[len(bound.values) :]))
    return dict(zip(names, values, strict=True))


def order(table: Table, index: str, *, descending: bool) -> dict[str, int]:
    """The index's own order, or its reverse."""
    return dict.fromkeys((*table.indexes[index].wire_fields, "_id"), -1 if descending else 1)


def update(changes: Mapping[str, Scalar], table: Table) -> dict[str, dict[str, Any]]:
    """Changed fields, by their Python names, as an update: values are set, `None` removes."""
    document = table.document
    names = dict(zip(document.__struct_fields__, document.__struct_encode_fields__, strict=True))
    kept: dict[str, Any] = {names[name]: value for name, value in changes.items() if value is not None}
    if table.ttl_field in kept:
        kept[table.ttl_field] = datetime.fromtimestamp(kept[table.ttl_field] / 1_000, UTC)
    removed = {names[name]: "" for name, value in changes.items() if value is None}
    return {verb: fields for verb, fields in (("$set", kept), ("$unset", removed)) if fields}


def timestamp(value: BsonTimestamp) -> Timestamp:
    """A cluster time as one number."""
    return Timestamp((value.time << 32) | value.inc)


def cluster_time(ts: Timestamp) -> BsonTimestamp:
    """The number as a cluster time again."""
    return BsonTimestamp(ts >> 32, ts & 0xFFFFFFFF)
