"""Functions that clients may call: declared by decorators, collected under their public names.

Arguments are the handler's parameters, validated by a Struct built from the signature; the return annotation says what
clients get. Nothing is declared twice.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Iterator
from types import ModuleType
from typing import Any, Literal, TypeVar

import msgspec

from schema.values import camel
from schema.wire import read_arguments
from server.context import Action, Anyone, Mutation, Query
from server.errors import Invalid
from server.limits import Rate

Kind = Literal["query", "mutation", "action"]
Handler = Callable[..., Awaitable[object]]
H = TypeVar("H", bound=Handler)

MARK = "__published__"
_CONTEXTS: dict[object, Kind] = {Query: "query", Mutation: "mutation", Action: "action"}
_NAMED = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<where>[^`]*)`)?$")


class Function(msgspec.Struct, frozen=True):
    """One public function: its name, who may call it, its arguments' and result's types."""

    path: str
    kind: Kind
    caller: type[Anyone]
    handler: Handler
    arguments: type[msgspec.Struct]
    result: object
    doc: str
    rate: Rate | None

    def decode(self, arguments: bytes) -> dict[str, Any]:
        """The arguments as the handler takes them. Raises `Invalid`, naming the field and what was expected."""
        try:
            decoded = msgspec.convert(read_arguments(arguments), self.arguments)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise _invalid(str(error)) from None
        return {name: getattr(decoded, name) for name in self.arguments.__struct_fields__}


def query(handler: H) -> H:
    """Publish a read-only function: `async def name(ctx: Query[Who], ...) -> Result`."""
    setattr(handler, MARK, ("query", None))
    return handler


def mutation(*, limit: Rate | None = None) -> Callable[[H], H]:
    """Publish a function that writes: `async def name(ctx: Mutation[Who], ...) -> Result`."""

    def declare(handler: H) -> H:
        setattr(handler, MARK, ("mutation", limit))
        return handler

    return declare


def action(*, limit: Rate | None = None) -> Callable[[H], H]:
    """Publish a function that may reach the outside world: `async def name(ctx: Action[Who], ...) -> Result`."""

    def declare(handler: H) -> H:
        setattr(handler, MARK, ("action", limit))
        return handler

    return declare


class Registry:
    """The functions by path."""

    def __init__(self) -> None:
        self._functions: dict[str, Function] = {}
        self._by_handler: dict[Handler, Function] = {}

    def __repr__(self) -> str:
        return f"<Registry {len(self._functions)} functions>"

    def __iter__(self) -> Iterator[Function]:
        return iter(self._functions.values())

    def find(self, path: str, kind: Kind | None = None) -> Function | None:
        """The function of that kind under that path."""
        found = self._functions.get(path)
        return found if found is not None and kind in (None, found.kind) else None

    def of(self, handler: Handler) -> Function:
        """The function that this handler was published as. Raises `LookupError`."""
        return self._by_handler[handler]

    def publish(self, name: str, module: ModuleType) -> None:
        """Publish what a module declares, as `name:camelCase`. Raises `TypeError` at a declaration that does not fit."""
        for handler in vars(module).values():
            if getattr(handler, "__module__", None) == module.__name__ and hasattr(handler, MARK):
                function = _function(name, handler)
                if function.path in self._functions:
                    raise TypeError(f"{function.path} is published twice")
                self._functions[function.path] = self._by_handler[handler] = function


def _function(name: str, handler: Handler) -> Function:
    kind, rate = getattr(handler, MARK)
    path = f"{name}:{camel(handler.__name__)}"
    hints = typing.get_type_hints(handler, include_extras=True)
    parameters = list(inspect.signature(handler).parameters.values())
    untyped = [name for name in (*(each.name for each in parameters), "return") if name not in hints]
    if untyped:
        raise TypeError(f"{path} does not declare the type of {', '.join(untyped)}")
    context_type = hints[parameters.pop(0).name] if parameters else None
    if _CONTEXTS.get(typing.get_origin(context_type)) != kind:
        raise TypeError(f"{path}: a {kind} takes a {kind.capitalize()}[...] first")
    (caller,) = typing.get_args(context_type)
    if not handler.__doc__:
        raise TypeError(f"{path} has no docstring, and it is what clients read")
    fields: list[Any] = [
        (each.name, hints[each.name])
        if each.default is inspect.Parameter.empty
        else (each.name, hints[each.name], each.default)
        for each in parameters
    ]
    arguments = msgspec.defstruct(
        f"Arguments of {path}", fields, rename=camel, forbid_unknown_fields=True, kw_only=True, frozen=True
    )
    return Function(path, kind, caller, handler, arguments, hints["return"], inspect.cleandoc(handler.__doc__), rate)


def _invalid(message: str) -> Invalid:
    """msgspec's sentence as ours: `Expected `int`, got `str` - at `$.numItems`` names the field first."""
    match = _NAMED.match(message)
    what = match["what"] if match else message
    where = (match["where"] if match else None) or ""
    named = re.search(r"(?:field|unknown field) `([^`]*)`", what)
    if named:
        where = f"{where}.{named[1]}".lstrip(".")
        expected = "is required" if "missing" in what else "is not an argument of this function"
    else:
        expected = what[0].lower() + what[1:].replace("`", "")
    return Invalid(where or "arguments", expected)
