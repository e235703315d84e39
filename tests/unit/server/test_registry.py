"""The registry: what is declared is what is published, and a declaration that does not fit is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Annotated, Any

import msgspec
import pytest

from schema.paging import Paging
from schema.values import minutes
from server.context import Action, Admin, Anyone, Member, Mutation, Query
from server.errors import Invalid
from server.limits import Rate, per_member
from server.registry import Function, Handler, Registry, action, mutation, query


@query
async def get_something(ctx: Query[Anyone], some_name: str, how_many: int = 3, ratio: float | None = None) -> str:
    """What clients read."""
    return f"{some_name} {how_many} {ratio}"


@mutation(limit=per_member(5, each=minutes(1)))
async def change_it(ctx: Mutation[Member], count: Annotated[int, msgspec.Meta(ge=1)]) -> None:
    """Change it."""


@action()
async def reach_out(ctx: Action[Admin]) -> None:
    """Reach out."""


@query
async def list_them(ctx: Query[Member], pagination_opts: Paging) -> None:
    """List them."""


def module_of(*handlers: Handler) -> ModuleType:
    module = ModuleType(__name__)
    for handler in handlers:
        setattr(module, handler.__name__, handler)
    return module


def published(*handlers: Handler) -> Registry:
    registry = Registry()
    registry.publish("things", module_of(*handlers))
    return registry


def function_of(handler: Handler) -> Function:
    return published(handler).of(handler)


def test_a_function_is_what_its_signature_says() -> None:
    registry = published(get_something, change_it, reach_out)
    assert [(each.path, each.kind, each.caller) for each in registry] == [
        ("things:getSomething", "query", Anyone),
        ("things:changeIt", "mutation", Member),
        ("things:reachOut", "action", Admin),
    ]
    assert registry.of(change_it).rate == Rate(5, minutes(1))
    assert registry.of(get_something).doc == "What clients read."
    assert registry.of(get_something).result is str
    assert repr(registry) == "<Registry 3 functions>"


def test_functions_are_found_by_path_and_kind() -> None:
    registry = published(get_something)
    assert registry.find("things:getSomething") is registry.find("things:getSomething", "query")
    assert registry.find("things:getSomething", "mutation") is None
    assert registry.find("things:nothing") is None
    with pytest.raises(LookupError):
        registry.of(change_it)


def test_what_a_module_only_imports_or_does_not_declare_is_not_published() -> None:
    async def internal(ctx: Query[Anyone]) -> None:
        """Not published."""

    module = ModuleType("another")
    module.get_something = get_something  # type: ignore[attr-defined]
    registry = published(internal)
    registry.publish("others", module)
    assert list(registry) == []


def test_two_functions_of_one_name_are_refused() -> None:
    registry = published(get_something)
    with pytest.raises(TypeError, match="things:getSomething is published twice"):
        registry.publish("things", module_of(get_something))


def _misfits() -> dict[str, tuple[Any, str]]:
    @query
    async def takes_a_mutation(ctx: Mutation[Member]) -> None:
        """Wrong context."""

    @mutation()
    async def takes_a_query(ctx: Query[Member]) -> None:
        """Wrong context."""

    @query
    async def takes_anything(ctx: str) -> None:
        """Wrong context."""

    @query
    async def takes_no_context() -> None:
        """No context."""

    @query
    async def takes_nobody(ctx: Query) -> None:  # type: ignore[type-arg]
        """A context of nobody."""

    @query
    async def says_nothing(ctx: Query[Anyone]) -> None: ...

    @query
    async def untyped_argument(ctx: Query[Anyone], what) -> None:  # type: ignore[no-untyped-def]
        """An argument of any type."""

    @query
    async def untyped_result(ctx: Query[Anyone]):  # type: ignore[no-untyped-def]
        """A result of any type."""

    return {
        "takesAMutation": (takes_a_mutation, r"a query takes a Query\[...\] first"),
        "takesAQuery": (takes_a_query, r"a mutation takes a Mutation\[...\] first"),
        "takesAnything": (takes_anything, r"a query takes a Query\[...\] first"),
        "takesNoContext": (takes_no_context, r"a query takes a Query\[...\] first"),
        "takesNobody": (takes_nobody, r"a query takes a Query\[...\] first"),
        "saysNothing": (says_nothing, "has no docstring"),
        "untypedArgument": (untyped_argument, "does not declare the type of what"),
        "untypedResult": (untyped_result, "does not declare the type of return"),
    }


@pytest.mark.parametrize("name", _misfits())
def test_a_declaration_that_does_not_fit_is_refused_by_name(name: str) -> None:
    handler, complaint = _misfits()[name]
    with pytest.raises(TypeError, match=f"things:{name}.*{complaint}"):
        published(handler)


def test_arguments_are_read_as_the_handler_takes_them() -> None:
    function = function_of(get_something)
    assert function.decode(b'{"someName":"x"}') == {"some_name": "x", "how_many": 3, "ratio": None}
    # There is one kind of number on the wire: what a field wants decides.
    assert function.decode(b'{"someName":"x","howMany":7.0,"ratio":2}') == {
        "some_name": "x",
        "how_many": 7,
        "ratio": 2.0,
    }
    assert function.decode(b'{"someName":"x","ratio":null}')["ratio"] is None


@pytest.mark.parametrize(
    ("declare", "arguments", "field", "expected"),
    [
        (get_something, {}, "someName", "is required"),
        (get_something, {"some_name": "x"}, "some_name", "is not an argument of this function"),
        (get_something, {"someName": 1}, "someName", "expected str, got int"),
        (get_something, {"someName": "x", "howMany": "3"}, "howMany", "expected int, got str"),
        (get_something, {"someName": "x", "howMany": 1.5}, "howMany", "expected int, got float"),
        (get_something, {"someName": "x", "howMany": None}, "howMany", "expected int, got null"),
        (get_something, {"someName": "x", "howMany": True}, "howMany", "expected int, got bool"),
        (get_something, {"someName": "x", "ratio": []}, "ratio", "expected float | null, got array"),
        (get_something, {"someName": "x", "extra": 1}, "extra", "is not an argument of this function"),
        (change_it, {"count": 0}, "count", "expected int >= 1"),
        (change_it, [], "arguments", "expected object, got array"),
        (list_them, {"paginationOpts": {"cursor": None}}, "paginationOpts.numItems", "is required"),
        (
            list_them,
            {"paginationOpts": {"numItems": 0, "cursor": None}},
            "paginationOpts.numItems",
            "expected float >= 1.0",
        ),
        (list_them, {"paginationOpts": None}, "paginationOpts", "expected object, got null"),
    ],
)
def test_wrong_arguments_are_named_with_what_was_expected(
    declare: Callable[..., Any], arguments: object, field: str, expected: str
) -> None:
    with pytest.raises(Invalid) as refused:
        function_of(declare).decode(json.dumps(arguments).encode())
    assert refused.value.message == f"{field}: {expected}"
    assert refused.value.more == {"field": field}


@pytest.mark.parametrize("garbage", [b"", b"{", b"\xff", b'{"someName":"\\ud800"}', b'{"someName":"x"}x'])
def test_what_is_no_json_is_refused_too(garbage: bytes) -> None:
    with pytest.raises(Invalid):
        function_of(get_something).decode(garbage)
