"""MongoDB's `$jsonSchema` of a document class, from its types: the last guard, below all our code."""

from __future__ import annotations

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
