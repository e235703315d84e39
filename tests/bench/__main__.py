"""`make bench`: every promise with its ratio to a floor measured in the same run."""

from __future__ import annotations

from tests.bench import claim, commit_to_push, matcher, mutations, pictures
from tests.bench.product import run


def main() -> None:
    """Run them one after the other; each prints its own table."""
    matcher.main()
    for bench in (commit_to_push, mutations, claim, pictures):
        run(bench.main())


if __name__ == "__main__":
    main()
