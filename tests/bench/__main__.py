"""`make bench`: every promise with its ratio to a floor measured in the same run."""

from __future__ import annotations

import asyncio

from tests.bench import commit_to_push, matcher, mutations


def main() -> None:
    """Run them one after the other; each prints its own table."""
    matcher.main()
    asyncio.run(commit_to_push.main())
    asyncio.run(mutations.main())


if __name__ == "__main__":
    main()
