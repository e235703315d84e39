"""Shapes: the types of arguments, results and documents as every client language understands them.

Invariant: a shape says what travels, not how Python holds it. A result's `None` is absent, so its field may be missing; where a
struct is `Said`, and in what a caller gives, it is null.
"""

from __future__ import annotations

import inspect
import types
import typing
from typing import TypeAlias, Union

import msgspec
from msgspec import inspect as types_of

from schema.document import TABLES
from schema.paging import Page, Paging
from schema.wire import Said


class Plain(msgspec.Struct, frozen=True, tag=True):
    """A value without parts: `boolean`, `integer`, `number`, `string`, `bytes` or `null`."""

    name: str


class IdOf(msgspec.Struct, frozen=True, tag=True):
    """The id of a document."""

    table: str
    document: str


class OneOf(msgspec.Struct, frozen=True, tag=True):
    """One of these words."""

    words: tuple[str, ...]


class ListOf(msgspec.Struct, frozen=True, tag=True):
    """Any number of the same."""

    item: Shape


class MapOf(msgspec.Struct, frozen=True, tag=True):
    """The same under any names."""

    value: Shape


class PageOf(msgspec.Struct, frozen=True, tag=True):
    """A page of the same."""

    item: Shape


class PageWanted(msgspec.Struct, frozen=True, tag=True):
    """Which page a client asks for."""


class Either(msgspec.Struct, frozen=True, tag=True):
    """One of several shapes."""

    options: tuple[Shape, ...]


class Field(msgspec.Struct, frozen=True):
    """A named part. `is_optional` is that it may be missing, `bounds` is which values are taken, in words."""

    name: str
    wire_name: str
    shape: Shape
    is_optional: bool
    bounds: str = ""


class Record(msgspec.Struct, frozen=True, tag=True):
    """Named parts. `table` is where whole documents of this shape are kept; empty for any other."""

    name: str
    doc: str
    fields: tuple[Field, ...]
    table: str = ""


Shape: TypeAlias = Plain | IdOf | OneOf | ListOf | MapOf | PageOf | PageWanted | Either | Record

NULL = Plain("null")

_PLAIN: dict[type[types_of.Type], Plain] = {
    types_of.NoneType: NULL,
    types_of.BoolType: Plain("boolean"),
    types_of.IntType: Plain("integer"),
    types_of.FloatType: Plain("number"),
    types_of.StrType: Plain("string"),
    types_of.BytesType: Plain("bytes"),
}


def shape_of(annotation: object) -> Shape:
    """The shape of what a function returns. Raises `TypeError` for what no client could be told."""
    if typing.get_origin(annotation) in (Union, types.UnionType):  # msgspec decodes no union of structs, and need not
        return either(tuple(shape_of(each) for each in typing.get_args(annotation)))
    return _shape(types_of.type_info(annotation))


def either(options: tuple[Shape, ...]) -> Shape:
    """One of these; of one it is that one."""
    flat = tuple(part for each in options for part in (each.options if isinstance(each, Either) else (each,)))
    return flat[0] if len(flat) == 1 else Either(flat)


def fields_given(struct: type[msgspec.Struct]) -> tuple[Field, ...]:
    """What a caller gives: a field with a default may be missing, and null is taken where the type says so."""
    return tuple(
        Field(each.name, each.encode_name, _shape(each.type), not each.required, bounds_of(each.type))
        for each in _fields(struct)
    )


def record_of(struct: type[msgspec.Struct]) -> Record:
    """A struct that is sent, field by field."""
    says_null = issubclass(struct, Said)
    fields = []
    for each in _fields(struct):
        shape, is_optional = _shape(each.type), False
        if isinstance(shape, Either) and NULL in shape.options and not says_null:
            shape, is_optional = either(tuple(option for option in shape.options if option != NULL)), True
        fields.append(Field(each.name, each.encode_name, shape, is_optional))
    table = next((each.name for each in TABLES.values() if each.document is struct), "")
    return Record(struct.__name__, inspect.cleandoc(struct.__doc__ or ""), tuple(fields), table)


def parts_of(shape: Shape) -> tuple[Shape, ...]:
    """The shapes directly inside this one."""
    match shape:
        case ListOf(item) | PageOf(item):
            return (item,)
        case MapOf(value):
            return (value,)
        case Either(options):
            return options
        case Record(fields=fields):
            return tuple(field.shape for field in fields)
        case _:
            return ()


def everything_in(shape: Shape) -> typing.Iterator[Shape]:
    """The shape and all that is inside it, the innermost first."""
    for part in parts_of(shape):
        yield from everything_in(part)
    yield shape


def bounds_of(described: types_of.Type) -> str:
    """Which values are taken, in words; empty where any."""
    match described:
        case types_of.Metadata(type=inner, extra=extra):
            return "" if extra and "id_of" in extra else bounds_of(inner)
        case types_of.UnionType(types=options):
            return "; ".join(filter(None, map(bounds_of, options)))
        case types_of.IntType(ge=low, le=high) | types_of.FloatType(ge=low, le=high):
            return _between(low, high, "")
        case types_of.StrType(min_length=low, max_length=high):
            return _between(low, high, " characters")
        case _:
            return ""


def _fields(struct: type[msgspec.Struct]) -> tuple[types_of.Field, ...]:
    described = types_of.type_info(struct)
    return described.fields if isinstance(described, types_of.StructType) else ()


def _between(low: float | None, high: float | None, unit: str) -> str:
    if low is None and high is None:
        return ""
    if low is None:
        return f"at most {high:,}{unit}"
    return f"at least {low:,}{unit}" if high is None else f"{low:,} to {high:,}{unit}"


def _shape(described: types_of.Type) -> Shape:
    plain = _PLAIN.get(type(described))
    if plain is not None:
        return plain
    match described:
        case types_of.Metadata(extra=extra) if extra and "id_of" in extra:
            return _id_of(extra["id_of"])
        case types_of.Metadata(type=inner):
            return _shape(inner)
        case types_of.LiteralType(values=values) if all(isinstance(each, str) for each in values):
            return OneOf(tuple(str(each) for each in values))
        case types_of.ListType(item_type=item):
            return ListOf(_shape(item))
        case types_of.DictType(key_type=types_of.StrType(), value_type=value):
            return MapOf(_shape(value))
        case types_of.UnionType(types=options):
            ordered = sorted(options, key=lambda option: isinstance(option, types_of.NoneType))
            return either(tuple(map(_shape, ordered)))
        case types_of.StructType(cls=cls) if cls is Paging:
            return PageWanted()
        case types_of.StructType(cls=cls, fields=fields) if Page in (cls, typing.get_origin(cls)):
            (page,) = (each.type for each in fields if each.name == "page")
            return PageOf(*parts_of(_shape(page)))
        case types_of.StructType(cls=cls):
            return record_of(cls)
        case _:
            raise TypeError(f"{described} is not a type that clients could be told of")


def _id_of(name: str) -> IdOf:
    found = [each for each in TABLES.values() if each.document.__name__ == name]
    if len(found) != 1:
        raise TypeError(f"Id[{name}] is not the id of one table")
    return IdOf(found[0].name, name)
