"""`docs/sharding.md` against the schema: every collection has its key there, and every unique index is answered for."""

from __future__ import annotations

import re

from schema.tables import TABLES
from server.store.setup import specifications
from tests.house.tables import rows_of
from tests.house.test_imports import ROOT

ROWS = [row for row in rows_of(ROOT / "docs" / "sharding.md") if len(row) == 3]
KEYS = {row[0].strip("`"): row[1] for row in ROWS if "." not in row[0] or row[0].startswith("`blobs.")}
UNIQUE = {row[0].strip("`"): row for row in ROWS if row[0].endswith("_unique`")}
FILES = {"blobs.files", "blobs.chunks"}


def fields_of(key: str) -> list[str]:
    """The fields of a shard key as the page writes it; none where a collection is not sharded."""
    return [name.split(":")[0].strip() for part in re.findall(r"`([^`]+)`", key) for name in part.split(",")]


def test_every_collection_has_a_key_or_is_not_sharded() -> None:
    assert KEYS.keys() == TABLES.keys() | FILES
    assert all(fields_of(key) or key == "not sharded" for key in KEYS.values())


def test_a_key_is_of_fields_that_every_document_can_have() -> None:
    for name in KEYS.keys() - FILES:
        known = set(TABLES[name].document.__struct_encode_fields__)
        assert set(fields_of(KEYS[name])) <= known, name


def test_every_unique_index_is_answered_for_as_its_shard_key_has_it() -> None:
    found = {
        f"{table.name}.{name}": (table.name, list(keys))
        for table in TABLES.values()
        for name, (keys, options) in specifications(table).items()
        if options.get("unique")
    }
    assert UNIQUE.keys() == found.keys()
    for index, (table, fields) in found.items():
        key = fields_of(KEYS[table])
        expected = "not sharded" if not key else "fits" if fields[: len(key)] == key else "contradicts"
        _, says, then = UNIQUE[index]
        assert says == expected, index
        assert (then != "nothing") is (says == "contradicts"), index
