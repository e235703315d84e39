"""Documents, tables and their indexes: declared once, checked at import.

Invariant: an index names fields that exist, and every read goes through an index.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from schema.keys import BY_ID, Key, KeyRange, after, key_of, part
from schema.readset import Fields
from schema.values import Id, Millis, Scalar, wire_name

D = TypeVar("D", bound="Document")


NEW: Id[Any] = Id("")
"""The id of a document that has not been stored yet; inserting it mints one."""


class Document(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """A row of a table. `None` means absent, in the database and on the wire; every other default is written out."""

    id: Id[Any] = NEW
    creation_time: Millis = 0.0


class Range(Generic[D]):
    """A range of one index of one table, and the direction to read it in. Immutable."""

    __slots__ = ("descending", "document", "keys")

    def __init__(self, document: type[D], keys: KeyRange, descending: bool = False) -> None:
        self.document, self.keys, self.descending = document, keys, descending

    def __repr__(self) -> str:
        arrow = "descending" if self.descending else "ascending"
        return f"<Range {self.keys.table}.{self.keys.index} {self.keys.prefix} {arrow}>"

    def newest_first(self) -> Range[D]:
        """The same range read from its upper end."""
        return Range(self.document, self.keys, descending=True)

    def at_most(self, value: Scalar) -> Range[D]:
        """Only keys whose next field is `value` or less."""
        return Range(self.document, self.keys.narrowed(high=after(key_of(value))), self.descending)

    def below(self, value: Scalar) -> Range[D]:
        """Only keys whose next field is less than `value`."""
        return Range(self.document, self.keys.narrowed(high=key_of(value)), self.descending)

    def at_least(self, value: Scalar) -> Range[D]:
        """Only keys whose next field is `value` or more."""
        return Range(self.document, self.keys.narrowed(low=key_of(value)), self.descending)


class IndexOf(Generic[D]):
    """An index seen from its document's class: `Image.by_user_and_created`."""

    __slots__ = ("document", "index")

    def __init__(self, document: type[D], index: Index) -> None:
        self.document, self.index = document, index

    def eq(self, **values: Scalar) -> Range[D]:
        """The range in which the leading fields equal `values`. They must be the index's first fields, in any order."""
        names = self.index.fields[: len(values)]
        if set(names) != set(values):
            raise TypeError(f"{self.index.name} begins with {', '.join(self.index.fields)}, not {', '.join(values)}")
        prefix = key_of(*(values[name] for name in names))
        return Range(self.document, KeyRange(table_of(self.document).name, self.index.name, prefix))

    def all(self) -> Range[D]:
        """The whole index."""
        return self.eq()


class Index:
    """Fields in order, the id last and implied. `unique` and `unique_when` add a constraint of their own."""

    __slots__ = ("fields", "name", "unique", "unique_when", "wire_fields")

    def __init__(
        self, fields: tuple[str, ...], name: str, unique: bool, unique_when: tuple[str, Scalar] | None
    ) -> None:
        self.fields, self.unique, self.unique_when = fields, unique, unique_when
        self.wire_fields = tuple(wire_name(field) for field in fields)
        self.name = name or "by_" + "_and_".join(self.wire_fields)

    def __repr__(self) -> str:
        return f"<Index {self.name}>"

    def __get__(self, instance: object, owner: type[D]) -> IndexOf[D]:
        return IndexOf(owner, self)

    def key(self, fields: Fields) -> Key:
        """The key of a document in this index, from its fields by wire name."""
        return (*(_part_of(fields.get(name)) for name in self.wire_fields), _part_of(fields["_id"]))

    def key_of(self, document: Document) -> Key:
        """The key of a whole document in this index."""
        return (*(_part_of(getattr(document, name)) for name in self.fields), part(document.id))


def _part_of(value: object) -> tuple[int, Scalar]:
    if value is None or isinstance(value, bool | int | float | str):
        return part(value)
    raise TypeError(f"a {type(value).__name__} cannot be part of an index key")


def index(*fields: str, name: str = "", unique: bool = False, unique_when: tuple[str, Scalar] | None = None) -> Index:
    """Declare an index. `unique_when=("is_generated", True)` makes it unique among documents where that holds.

    The name defaults to the data model's form, `by_userId_and_createdAt`.
    """
    return Index(fields, name, unique, unique_when)


class Table(msgspec.Struct, frozen=True):
    """A table: its name, its documents' class, its indexes by name, the field by which rows expire."""

    name: str
    document: type[Document]
    indexes: dict[str, Index]
    ttl_field: str | None

    def index_length(self, name: str) -> int:
        """How many fields the index has, the id included."""
        return 1 if name == BY_ID else len(self.indexes[name].fields) + 1


TABLES: dict[str, Table] = {}
_BY_DOCUMENT: dict[type[Document], Table] = {}


def table(name: str, *, expires_by: str | None = None) -> Callable[[type[D]], type[D]]:
    """Declare a document class as a table. `expires_by` names a field holding a date after which MongoDB may delete it."""

    def declare(document: type[D]) -> type[D]:
        declared = [each for each in vars(document).values() if isinstance(each, Index)]
        indexes = {each.name: each for each in declared}
        if len(indexes) < len(declared):
            raise TypeError(f"two indexes of {name} have the same name")
        known = set(document.__struct_fields__)
        for each in declared:
            named = (*each.fields, *(each.unique_when or ())[:1])
            missing = [field for field in named if field not in known]
            if missing:
                raise TypeError(f"{name}.{each.name} names fields that do not exist: {', '.join(missing)}")
        if name in TABLES:
            raise TypeError(f"the table {name} is declared twice")
        TABLES[name] = _BY_DOCUMENT[document] = Table(
            name, document, indexes, wire_name(expires_by) if expires_by else None
        )
        return document

    return declare


def table_of(document: type[Document]) -> Table:
    """The table of a document class."""
    return _BY_DOCUMENT[document]
