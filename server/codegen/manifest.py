"""The manifest: every published function with its shapes, and the documents that clients know by name."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from schema.document import TABLES
from schema.values import minutes, seconds
from server.codegen.shapes import Field, IdOf, Record, Shape, everything_in, fields_given, record_of, shape_of
from server.context import Admin, Anyone, Member
from server.limits import Rate
from server.registry import Function, Kind

CALLERS: dict[type[Anyone], str] = {Anyone: "everybody", Member: "the signed-in", Admin: "administrators"}
DATA_MODEL = ("images", "users", "admins", "payments", "billingSettings", "checkoutSessions")
"""The tables whose documents the data model shows to clients. Others are added where a function returns their documents."""


class Operation(msgspec.Struct, frozen=True):
    """A published function as clients see it."""

    path: str
    module: str
    name: str
    python_name: str
    kind: Kind
    caller: str
    doc: str
    rate: Rate | None
    arguments: tuple[Field, ...]
    result: Shape

    @property
    def audience(self) -> str:
        """Who may call it and how often, in a sentence."""
        article = "An" if self.kind == "action" else "A"
        return f"{article} {self.kind} for {self.caller}{'' if self.rate is None else f', {_often(self.rate)}'}."


class Manifest(msgspec.Struct, frozen=True):
    """All of it. `records` are the shapes with a name that are no table's documents, each after those it is made of."""

    operations: tuple[Operation, ...]
    documents: tuple[Record, ...]
    records: tuple[Record, ...]
    ids: tuple[IdOf, ...]

    def __repr__(self) -> str:
        return f"<Manifest {len(self.operations)} functions>"

    @property
    def modules(self) -> dict[str, list[Operation]]:
        """The functions by module, in the order of publication."""
        found: dict[str, list[Operation]] = {}
        for each in self.operations:
            found.setdefault(each.module, []).append(each)
        return found


def manifest_of(functions: Iterable[Function]) -> Manifest:
    """What clients are told of these functions. Raises `TypeError` where two shapes have the same name."""
    operations = tuple(_operation(each) for each in functions)
    used: dict[Shape, None] = {}
    for operation in operations:
        for shape in (*(field.shape for field in operation.arguments), operation.result):
            used |= dict.fromkeys(everything_in(shape))
    returned = {shape.table for shape in used if isinstance(shape, Record)}
    documents = tuple(
        record_of(table.document) for table in TABLES.values() if table.name in DATA_MODEL or table.name in returned
    )
    for document in documents:
        used |= dict.fromkeys(everything_in(document))
    records = tuple(shape for shape in used if isinstance(shape, Record) and not shape.table)
    names = [record.name for record in (*records, *documents)]
    if len(names) != len(set(names)):
        raise TypeError(f"two shapes have the same name: {', '.join(sorted({n for n in names if names.count(n) > 1}))}")
    ids = tuple(sorted((shape for shape in used if isinstance(shape, IdOf)), key=lambda each: each.table))
    return Manifest(operations, documents, records, ids)


def _often(rate: Rate) -> str:
    per = "a minute" if rate.each == minutes(1) else f"in {rate.each / seconds(1):,.0f} seconds"
    return f"at most {rate.count:,} {per} each"


def _operation(function: Function) -> Operation:
    module, _, name = function.path.partition(":")
    return Operation(
        path=function.path,
        module=module,
        name=name,
        python_name=function.handler.__name__,
        kind=function.kind,
        caller=CALLERS[function.caller],
        doc=function.doc,
        rate=function.rate,
        arguments=fields_given(function.arguments),
        result=shape_of(function.result),
    )
