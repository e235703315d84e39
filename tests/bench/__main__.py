"""`make bench`: every promise with its ratio to a floor measured in the same run, in one table at the end.

`python -m tests.bench [--only NAME] [--markdown] [--json FILE] [sockets]`. What each benchmark prints of itself goes to stderr as
it is measured. The crowds have 10,000 sockets, or half of that where each one is set up anew. A benchmark that fails has a row
that says so. All of them take about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import (
    claim,
    commit_to_push,
    fan_out,
    feed_cost,
    fleet,
    matcher,
    memory,
    mutations,
    owners,
    parse,
    pictures,
    reconnect,
)
from tests.bench.product import run
from tests.bench.result import Missing, Result, Row, as_json, machine, markdown, plain

Bench = Callable[[], Coroutine[Any, Any, list[Result]]]


def benches(sockets: int) -> dict[str, Bench]:
    """All of them, in the order in which they are run. Parse Server has a size of its own."""
    return {
        "matcher": matcher.main,
        "commit_to_push": commit_to_push.main,
        "fleet": fleet.main,
        "feed_cost": feed_cost.main,
        "mutations": mutations.main,
        "claim": claim.main,
        "pictures": pictures.main,
        "fan_out": partial(fan_out.main, sockets),
        "owners": partial(owners.main, sockets),
        "memory": partial(memory.main, sockets // 2),
        "reconnect": partial(reconnect.main, sockets // 2),
        "parse": parse.main,
    }


def measured(chosen: dict[str, Bench]) -> list[Row]:
    """Run them one after the other."""
    rows: list[Row] = []
    for name, bench in chosen.items():
        began = time.monotonic()
        print(f"\n=== {name}", file=sys.stderr, flush=True)
        try:
            with redirect_stdout(sys.stderr):
                rows += run(bench())
        except KeyboardInterrupt:
            rows.append(Missing(name, "interrupted"))
            break
        except Exception as error:
            rows.append(Missing(name, " ".join(f"{type(error).__name__}: {error}".split())[:200]))
        print(f"=== {name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; status 1 when a promise was not kept, or a benchmark failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    names = list(benches(0))
    parser.add_argument("sockets", type=int, nargs="?", default=fan_out.SOCKETS)
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--markdown", action="store_true", help="the table as docs/benchmarks.md has it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    wanted = parser.parse_args(arguments)
    began = time.monotonic()
    rows = measured({name: bench for name, bench in benches(wanted.sockets).items() if name in (wanted.only or names)})
    if wanted.json is not None:
        wanted.json.write_text(as_json(rows) + "\n")
    print(
        f"\n{(markdown if wanted.markdown else plain)(rows)}\n\n{machine()}, {(time.monotonic() - began) / 60:.0f} min"
    )
    return 0 if all(isinstance(each, Result) and each.kept is not False for each in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
