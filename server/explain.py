"""What `python -m server explain` prints: a query's read set, who shares its answer, and why it ran; as text, 100 columns wide.

Invariant: nothing here reads, waits or looks at a clock; everything comes in as values.
"""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from schema.document import TABLES
from schema.keys import BY_ID, LAST, Key, KeyRange, value_of
from schema.paging import Paging
from schema.readset import ReadSet
from schema.values import Millis, Scalar, Timestamp
from server.config import ConfigurationError
from server.errors import Invalid
from server.registry import Function, Registry
from server.web.explain import Remembered
from subscriptions.effects import Result, Value
from subscriptions.history import Asker, Told

COLUMNS = 100
MAX_TEXT_CHARS = 64
"""A longer value in a key is cut; whoever needs all of it has the database."""
MAX_ARGUMENT_CHARS = 160
MAX_RANGES = 40
NEAREST = 3
FIRST_PAGE = b'{"%b":{"cursor":null,"numItems":20}}'


class Evaluation(msgspec.Struct, frozen=True):
    """One evaluation of a query, made to be looked at."""

    function: Function
    arguments: bytes
    subject: str | None
    ts: Timestamp
    took_ms: float
    result: Result
    reads: ReadSet
    documents: int


def find_query(registry: Registry, path: str) -> Function:
    """The query of that name. Raises `ConfigurationError` with the nearest names."""
    function = registry.find(path)
    if function is not None and function.kind == "query":
        return function
    if function is not None:
        article = "an" if function.kind == "action" else "a"
        raise ConfigurationError(
            f"{path} is {article} {function.kind}: it runs when it is called. Only queries run again."
        )
    queries = [each.path for each in registry if each.kind == "query"]
    by_name = {each.partition(":")[2].lower(): each for each in queries}
    near = difflib.get_close_matches(path, queries, NEAREST)
    near += [by_name[each] for each in difflib.get_close_matches(path.rpartition(":")[2].lower(), by_name, NEAREST)]
    nearest = list(dict.fromkeys(near))[:NEAREST] or sorted(queries)[:NEAREST]
    raise ConfigurationError(f"There is no query {path}. The nearest names: {', '.join(nearest)}.")


def arguments_for(function: Function, given: str | None) -> bytes:
    """The arguments to evaluate with: as given, or a first page where that is all it takes.

    Raises `ConfigurationError` that says what is needed.
    """
    required = [each for each in msgspec.structs.fields(function.arguments) if each.required]
    if given is None and [each.type for each in required] == [Paging]:
        return FIRST_PAGE % required[0].encode_name.encode()
    arguments = (given if given is not None else "{}").encode()
    try:
        function.decode(arguments)
    except Invalid as invalid:
        fields = msgspec.structs.fields(function.arguments)
        names = ", ".join(each.encode_name if each.required else f"{each.encode_name} (optional)" for each in fields)
        takes = f"It takes {names}" if names else "It takes no arguments"
        hint = "" if not names or given is not None else f": --args '{{\"{fields[0].encode_name}\": ...}}'"
        raise ConfigurationError(f"{function.path}: {invalid.message}. {takes}{hint}.") from None
    return arguments


def evaluation_text(seen: Evaluation) -> str:
    """What one evaluation shows."""
    deadline = seen.reads.deadline
    by_itself = "" if deadline is None else f", and by itself at {_moment(deadline)} UTC"
    lines = [
        seen.function.path,
        *_wrapped(seen.function.doc.splitlines()[0], ""),
        "",
        *_labelled(
            "asked", f"by {seen.subject or 'a visitor'}, with {_cut(seen.arguments.decode(), MAX_ARGUMENT_CHARS)}"
        ),
        *_labelled("answered", _outcome(seen)),
        *_labelled("shared by", _sharers(seen.reads.facets, seen.subject)),
        *_labelled(
            "runs again", f"when a commit writes a key that was read{by_itself}" if seen.reads.ranges else "never"
        ),
        "",
        "read set: table, index, range",
        *_ranges(seen.reads.ranges, len(seen.reads.ranges)),
    ]
    return "\n".join(lines)


def remembered_text(told: Remembered) -> str:
    """What a running server remembers."""
    kept = f"{_count(told.answers, 'answer')} now, shown {_count(told.shown, 'time')}"
    if not told.runs:
        return f"server {told.process}: no run is remembered; {kept}"
    lines = [f"server {told.process}: the last {_count(len(told.runs), 'run')}, the newest first; {kept}"]
    for run in told.runs:
        lines += _run(run)
    return "\n".join(lines)


def _run(run: Told) -> Iterator[str]:
    shown = "current" if run.shown_to is None else f"shown {_count(run.shown_to, 'time')} until it ended"
    ranges = _count(run.range_count, "range")
    where = " to adopt what another process ran" if run.cost.is_adopted else ""
    cost = f"{run.cost.took_ms:.1f} ms{where}, {_count(run.cost.documents, 'document')}, {ranges}, {shown}"
    yield f"  {_moment(run.cost.at)}  {cost}"
    yield from _wrapped(f"for {_asker(run.asker)}, with {_cut(run.arguments, MAX_ARGUMENT_CHARS)}", "      ")
    yield from _wrapped(f"because {_because(run)}", "      ")


def _because(run: Told) -> str:
    match run.reason:
        case "first":
            return "it was asked for the first time that is remembered"
        case "again":
            return "it was asked again, and no answer was kept for that moment"
        case "time":
            return "the time had come at which the answer before changes by itself"
        case "gap":
            return "commits were missed, after which no answer before them counts"
        case "commit":
            when = "" if run.because_ts is None else f" of {_second(run.because_ts)} ({run.because_ts})"
            if run.met is None:
                return f"the commit{when} met what the answer before had read; its keys are not remembered any more"
            keys = run.met.keys
            if run.met.key is None:
                return f"the commit{when} changed {keys.table} in a way of which no more is known"
            found = _values(keys, 0, run.met.key)
            return (
                f"the commit{when} wrote {keys.table} {keys.index}: {found}; the answer before had read {_range(keys)}"
            )


def _outcome(seen: Evaluation) -> str:
    result = seen.result
    said = f"{len(bytes(result.value)):,} bytes" if isinstance(result, Value) else f"refused ({result.message})"
    read = _count(seen.documents, "document")
    return f"{said}; {read} read in {seen.took_ms:.1f} ms, as of {_second(seen.ts)} UTC (commit {seen.ts})"


def _sharers(facets: frozenset[str], subject: str | None) -> str:
    if not facets:
        return "everybody who asks with these arguments: it does not look at who asks"
    whose = f"nobody but {subject}" if subject else "visitors alone, who are not signed in (say whose: --as SUBJECT)"
    return f"{whose}: it looks at the caller's {', '.join(sorted(facets))}"


def _asker(asker: Asker) -> str:
    if not asker:
        return "everybody"
    # A facet of an operator in somebody's name holds both names, apart by a zero.
    return ", ".join("a visitor" if value is None else value.replace("\0", " in the hands of ") for _, value in asker)


def _ranges(ranges: tuple[KeyRange, ...], count: int) -> Iterator[str]:
    for keys in ranges[:MAX_RANGES]:
        yield f"  {keys.table} {keys.index}"
        yield from _wrapped(_range(keys), "      ")
    if count > MAX_RANGES:
        yield f"  and {count - MAX_RANGES} more"
    if not ranges:
        yield "  nothing"


def _range(keys: KeyRange) -> str:
    """The range in words, with the names of its index's fields."""
    size = len(keys.prefix)
    parts = [_values(keys, 0, keys.prefix)] if keys.prefix else []
    if keys.low:
        parts.append(f"{'after' if keys.low[-1] == LAST else 'from'} {_values(keys, size, keys.low)}")
    if keys.high != (LAST,):
        parts.append(f"{'up to' if keys.high[-1] == LAST else 'below'} {_values(keys, size, keys.high)}")
    return ", ".join(parts) or "all of it"


def _values(keys: KeyRange, start: int, key: Key) -> str:
    table = TABLES.get(keys.table)
    index = None if table is None or keys.index == BY_ID else table.indexes[keys.index]
    fields = () if index is None else index.wire_fields
    names = (*fields, "_id")[start:]
    return ", ".join(
        f"{name} = {_scalar(value_of(part))}" for name, part in zip(names, key, strict=False) if part != LAST
    )


def _scalar(value: Scalar) -> str:
    if value is None:
        return "absent"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _cut(f'"{value}"', MAX_TEXT_CHARS) if isinstance(value, str) else f"{value:.15g}"


def _labelled(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, COLUMNS, initial_indent=f"{label:<12}", subsequent_indent=" " * 12, break_on_hyphens=False
    )


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, COLUMNS, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 3]}..."


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _moment(at: Millis) -> str:
    return datetime.fromtimestamp(at / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _second(ts: Timestamp) -> str:
    return datetime.fromtimestamp(ts >> 32, UTC).strftime("%Y-%m-%d %H:%M:%S")
