"""Collections, validators, indexes and images as the schema declares them; and what in a database differs from it.

Invariant: safe to run twice and beside running processes; nothing is dropped, what should not be there is reported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from pymongo import IndexModel
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import CollectionInvalid, OperationFailure

from schema.document import Index, Table
from schema.tables import TABLES
from server.store.rights import as_far_as_allowed
from server.store.validators import validator, widened

RawDocument = dict[str, Any]

NAMESPACE_EXISTS = 48
INDEX_REFUSED = frozenset({85, 86, 11000})
"""IndexOptionsConflict, IndexKeySpecsConflict, DuplicateKey: for a person to mend."""
INDEX_OPTIONS = ("unique", "partialFilterExpression", "expireAfterSeconds", "sparse", "collation", "hidden")


class Drift(msgspec.Struct, frozen=True):
    """One difference between the database and the schema that a person should look at."""

    table: str
    what: str

    def __str__(self) -> str:
        return f"{self.table}: {self.what}"


class SetupReport(msgspec.Struct, frozen=True):
    """What was done, a line each, and what was left alone."""

    done: Sequence[str]
    drift: Sequence[Drift]


async def set_up(database: AsyncDatabase[RawDocument], *, beside_others: bool = False) -> SetupReport:
    """Bring the database to the schema; what differs is reported and not touched. Raises `ConfigurationError` without the rights.

    `beside_others` while processes of another version run: rules then let pass what either writes, instead of what ours do.
    """
    with as_far_as_allowed():
        return await _set_up(database, beside_others=beside_others)


async def _set_up(database: AsyncDatabase[RawDocument], *, beside_others: bool) -> SetupReport:
    done: list[str] = []
    drift: list[Drift] = []
    existing = {each["name"]: each async for each in await database.list_collections()}
    for table in TABLES.values():
        done += await _collection(database, table, existing.get(table.name), beside_others=beside_others)
        more, differs = await _indexes(database, table)
        done += more
        drift += differs
    unknown = sorted(set(existing) - set(TABLES) - {name for name in existing if name.startswith("system.")})
    drift += [Drift(name, "is not in the schema") for name in unknown]
    return SetupReport(done, drift)


async def missing_from(database: AsyncDatabase[RawDocument]) -> list[str]:
    """The collections and indexes without which the product must not run: it was never migrated to this schema."""
    existing = set(await database.list_collection_names())
    found: list[str] = [name for name in TABLES if name not in existing]
    for table in TABLES.values():
        if table.name in existing:
            present = {each["name"] async for each in await database[table.name].list_indexes()}
            found += [f"{table.name}.{name}" for name in specifications(table) if name not in present]
    return found


async def _collection(
    database: AsyncDatabase[RawDocument], table: Table, existing: Mapping[str, Any] | None, *, beside_others: bool
) -> list[str]:
    wanted: RawDocument = {
        "validator": validator(table.document),
        "validationLevel": "strict",
        "validationAction": "error",
        "changeStreamPreAndPostImages": {"enabled": True},
    }
    if existing is None:
        try:
            await database.create_collection(table.name, check_exists=False, **wanted)
        except (CollectionInvalid, OperationFailure) as error:
            if isinstance(error, OperationFailure) and error.code != NAMESPACE_EXISTS:
                raise
        else:
            return [f"created {table.name}"]
    options = (existing or {}).get("options", {})
    if beside_others and existing is not None:
        wanted["validator"] = widened(options.get("validator", {}), wanted["validator"])
    if all(options.get(name, {}) == value for name, value in wanted.items()):
        return []
    await database.command({"collMod": table.name, **wanted})
    return [f"updated the rules of {table.name}"]


async def _indexes(database: AsyncDatabase[RawDocument], table: Table) -> tuple[list[str], list[Drift]]:
    wanted = specifications(table)
    present = {each["name"]: each async for each in await database[table.name].list_indexes() if each["name"] != "_id_"}
    missing = [
        IndexModel(list(keys.items()), name=name, **options)
        for name, (keys, options) in wanted.items()
        if name not in present
    ]
    done, drift = await _create(database, table, missing)
    for name, (keys, options) in wanted.items():
        if name in present and not _same(present[name], keys, options):
            drift.append(Drift(table.name, f"the index {name} differs from the schema; drop it and migrate again"))
    drift += [
        Drift(table.name, f"the index {name} is not in the schema") for name in sorted(set(present) - set(wanted))
    ]
    return done, drift


async def _create(
    database: AsyncDatabase[RawDocument], table: Table, indexes: Sequence[IndexModel]
) -> tuple[list[str], list[Drift]]:
    """Create them all at once; where one is refused, each by itself, so that the others are made and it is told which."""
    if not indexes:
        return [], []
    try:
        names = await database[table.name].create_indexes(list(indexes))
    except OperationFailure as error:
        if error.code not in INDEX_REFUSED:
            raise
        if len(indexes) == 1:
            name = indexes[0].document["name"]
            return [], [Drift(table.name, f"the index {name} cannot be made beside what is there: {error.code}")]
        each = [await _create(database, table, [index]) for index in indexes]
        return [line for done, _ in each for line in done], [one for _, drift in each for one in drift]
    return [f"created the index {table.name}.{name}" for name in names], []


def shape() -> str:
    """A digest of all that we make of the schema: when it changes, a version of ours meets databases of another shape."""
    made = {name: (validator(table.document), specifications(table)) for name, table in sorted(TABLES.items())}
    return hashlib.sha256(msgspec.json.encode(made, order="sorted")).hexdigest()[:16]


def specifications(table: Table) -> dict[str, tuple[dict[str, int], RawDocument]]:
    """Every index of a table: one to read by, ending with the id, and one for each constraint."""
    found: dict[str, tuple[dict[str, int], RawDocument]] = {}
    for name, index in table.indexes.items():
        found[name] = ({**dict.fromkeys(index.wire_fields, 1), "_id": 1}, {})
        constraint = _constraint(table, index)
        if constraint is not None:
            found[f"{name}_unique"] = (dict.fromkeys(index.wire_fields, 1), constraint)
    if table.ttl_field is not None:
        found[f"expires_by_{table.ttl_field}"] = ({table.ttl_field: 1}, {"expireAfterSeconds": 0})
    return found


def _constraint(table: Table, index: Index) -> RawDocument | None:
    if index.unique:
        return {"unique": True}
    if index.unique_when is None:
        return None
    field, value = index.unique_when
    names = dict(zip(table.document.__struct_fields__, table.document.__struct_encode_fields__, strict=True))
    present = {each: {"$exists": True} for each in index.wire_fields}
    return {"unique": True, "partialFilterExpression": {**present, names[field]: value}}


def _same(present: Mapping[str, Any], keys: dict[str, int], options: RawDocument) -> bool:
    return list(present["key"].items()) == list(keys.items()) and all(
        present.get(name) == options.get(name) for name in INDEX_OPTIONS
    )
