"""The price of matching one index key among 200,000 held ranges: against a bare look-up in a dict of as many keys, and against
the same among 1,000.

Run it with `python -m tests.bench.matcher`. Three quarters of the ranges are single documents and whole prefixes of many users;
the rest are distinct pages of one crowded listing, where a scan would have to look at each. The first growth is that of the same
commits, which meet the same ranges in both; the second that of commits which meet any of 200,000, so that each look-up misses the
processor's caches; the third is what these misses cost the dict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from time import perf_counter

from schema.keys import Key, KeyRange, after, key_of, one_document
from schema.readset import ReadSet, Touch, WriteSet
from subscriptions.matcher import Matcher
from tests.bench.product import run
from tests.bench.result import Result

RANGES = 200_000
FEW = 1_000
KEYS = 20_000
ROUNDS = 5
PAGE = 12
SEED = 7
MOST_GROWTH = 1.3


def ranges(size: int) -> list[KeyRange]:
    """By id, by user, the newest page of a user, and pages of the public gallery."""
    share = size // 4
    documents = [one_document("images", f"image{number}") for number in range(share)]
    whole = [KeyRange("images", "by_user", key_of(f"user{number}")) for number in range(share)]
    newest = [
        KeyRange("images", "by_user", key_of(f"user{number}"), low=key_of(1e12 + number)) for number in range(share)
    ]
    pages = [
        KeyRange(
            "images",
            "by_featured",
            key_of(True, False),
            after(key_of(1e12 + number, f"image{number}")),
            after(key_of(1e12 + number + PAGE, f"image{number + PAGE}")),
        )
        for number in range(share)
    ]
    return documents + whole + newest + pages


def touches(kind: str, size: int, random: Random) -> list[Touch]:
    """Keys that fall somewhere among the ranges."""
    numbers = [random.randrange(size // 4) for _ in range(KEYS)]
    if kind == "by id":
        return [Touch("images", "by_id", key_of(f"image{number}")) for number in numbers]
    if kind == "by user":
        return [Touch("images", "by_user", key_of(f"user{number}", 2e12, "image")) for number in numbers]
    return [Touch("images", "by_featured", key_of(True, False, 1e12 + number, f"image{number}")) for number in numbers]


def fastest(*acts: Callable[[], None]) -> list[float]:
    """Microseconds per key of each in the best of a few rounds, in which they take turns."""
    best = [float("inf")] * len(acts)
    for _ in range(ROUNDS):
        for place, act in enumerate(acts):
            began = perf_counter()
            act()
            best[place] = min(best[place], perf_counter() - began)
    return [each / KEYS * 1e6 for each in best]


def look_up(floor: dict[Key, int], keys: Sequence[Key]) -> Callable[[], None]:
    def act() -> None:
        for key in keys:
            floor.get(key)

    return act


def match(matcher: Matcher[int], writes: Sequence[WriteSet]) -> Callable[[], None]:
    def act() -> None:
        for each in writes:
            matcher.hits(each)

    return act


def watching(held: Sequence[KeyRange]) -> tuple[Matcher[int], float]:
    """A matcher that holds these, and microseconds for each."""
    matcher: Matcher[int] = Matcher()
    began = perf_counter()
    for token, each in enumerate(held):
        matcher.watch(token, ReadSet((each,)))
    return matcher, (perf_counter() - began) / len(held) * 1e6


async def main() -> list[Result]:
    """Print one line per kind of key."""
    results = []
    random, held = Random(SEED), ranges(RANGES)
    matcher, spent = watching(held)
    small, _ = watching(ranges(FEW))
    print(f"{matcher!r}; {spent:.1f} us to watch one; growth is from {FEW:,} ranges")
    print(
        f"{'key':<10} {'hits/key':>9} {'floor us':>9} {'match us':>9} {'ratio':>7} {'growth':>8} {'anywhere':>9} {'floor':>6}"
    )
    for kind in ("by id", "by user", "crowded"):
        keys, near = touches(kind, RANGES, random), touches(kind, FEW, random)
        writes, nearby = ([WriteSet(frozenset({each})) for each in those] for those in (keys, near))
        hits = sum(len(matcher.hits(each)) for each in writes) / len(writes)
        plain = {each.key: 0 for each in keys} | {each.prefix: 0 for each in held}
        least = {each.key: 0 for each in near}
        floor, floor_near, anywhere, same, few = fastest(
            look_up(plain, [each.key for each in keys]),
            look_up(least, [each.key for each in near]),
            match(matcher, writes),
            match(matcher, nearby),
            match(small, nearby),
        )
        print(
            f"{kind:<10} {hits:>9.1f} {floor:>9.2f} {anywhere:>9.2f} {anywhere / floor:>6.1f}x"
            f" {same / few:>7.2f}x {anywhere / few:>8.2f}x {floor / floor_near:>5.1f}x"
        )
        results.append(
            Result(
                promise=f"matching a commit {kind} against {RANGES:,} ranges",
                floor=f"{few:.2f} us: the same commits against {FEW:,} ranges",
                figure=f"{same:.2f} us; {anywhere:.2f} us where it hits any of them",
                seen=same / few,
                owed=MOST_GROWTH,
            )
        )
    return results


if __name__ == "__main__":
    run(main())
