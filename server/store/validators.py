"""MongoDB's `$jsonSchema` of a document class, from its types: the last guard, below all our code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from schema.document import Document, table_of

RawDocument = dict[str, Any]


def validator(document: type[Document]) -> RawDocument:
    """The validator of the table's collection. Absent optional fields are absent, never null."""
    shape = msgspec.inspect.type_info(document)
    if not isinstance(shape, msgspec.inspect.StructType):
        raise TypeError(f"{document.__name__} is not a document")
    dates = {table_of(document).ttl_field}
    properties: RawDocument = {
        field.encode_name: {"bsonType": "date"} if field.encode_name in dates else _rule(field.type)
        for field in shape.fields
    }
    required = [field.encode_name for field in shape.fields if not _is_optional(field.type)]
    return {
        "$jsonSchema": {
            "bsonType": "object",
            "required": required,
            "properties": properties,
            "additionalProperties": False,
        }
    }


def widened(present: Mapping[str, Any], wanted: RawDocument) -> RawDocument:
    """A rule under which two versions of a class can write side by side: neither misses a field, nor finds one too many.

    A rule that is not of our making is let stand beside ours.
    """
    old, new = present.get("$jsonSchema"), wanted["$jsonSchema"]
    if not present:
        return {}
    if not isinstance(old, Mapping) or set(old) != set(new):
        return dict(present) if wanted in present.get("$or", ()) else {"$or": [dict(present), wanted]}
    properties = {name: _either(old["properties"].get(name, rule), rule) for name, rule in new["properties"].items()}
    required = [name for name in new["required"] if name in old["required"]]
    return {"$jsonSchema": {**new, "required": required, "properties": {**old["properties"], **properties}}}


def _either(old: RawDocument, new: RawDocument) -> RawDocument:
    """What either rule of a field lets pass."""
    if old == new or new in old.get("anyOf", ()):
        return old
    if set(old) == set(new) == {"enum"}:
        return {"enum": [*old["enum"], *(value for value in new["enum"] if value not in old["enum"])]}
    return {"anyOf": [*old.get("anyOf", (old,)), new]}


def _is_optional(kind: msgspec.inspect.Type) -> bool:
    return isinstance(kind, msgspec.inspect.UnionType) and kind.includes_none


def _rule(kind: msgspec.inspect.Type) -> RawDocument:
    match kind:
        case msgspec.inspect.Metadata(type=inner):
            return _rule(inner)
        case msgspec.inspect.UnionType(types=types):
            (inner,) = [each for each in types if not isinstance(each, msgspec.inspect.NoneType)]
            return _rule(inner)
        case msgspec.inspect.LiteralType(values=values):
            return {"enum": list(values)}
        case msgspec.inspect.BoolType():
            return {"bsonType": "bool"}
        case msgspec.inspect.StrType():
            return {"bsonType": "string"}
        case msgspec.inspect.IntType(ge=minimum) | msgspec.inspect.FloatType(ge=minimum):
            return {"bsonType": "number"} | ({} if minimum is None else {"minimum": minimum})
        case _:
            raise TypeError(f"a {type(kind).__name__} cannot be stored")
