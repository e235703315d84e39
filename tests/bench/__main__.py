"""`make bench`: every promise with its ratio to a floor measured in the same run.

`python -m tests.bench [sockets]` takes the size of the crowds: 10,000 sockets, or half of that where each one is set up anew.
"""

from __future__ import annotations

import sys

from tests.bench import (
    claim,
    commit_to_push,
    fan_out,
    feed_cost,
    matcher,
    memory,
    mutations,
    owners,
    parse,
    pictures,
    reconnect,
)
from tests.bench.product import run


def main(sockets: int = fan_out.SOCKETS) -> None:
    """Run them one after the other; each prints its own table."""
    matcher.main()
    for bench in (commit_to_push, mutations, claim, pictures, feed_cost):
        run(bench.main())
    for crowded in (fan_out, owners):
        run(crowded.main(sockets))
    for each in (memory, reconnect):
        run(each.main(sockets // 2))
    run(parse.main())  # with a size of its own, and only where there are Node.js and a registry


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
