"""The price of matching one index key among 200,000 held ranges, against a bare look-up in a dict of as many keys.

Run it with `python -m tests.bench.matcher`. Three quarters of the ranges are single documents and whole prefixes of
many users; the rest are distinct pages of one crowded listing, where a scan would have to look at each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from time import perf_counter

from schema.keys import Key, KeyRange, after, key_of, one_document
from schema.readset import ReadSet, Touch, WriteSet
from subscriptions.matcher import Matcher

RANGES = 200_000
KEYS = 20_000
ROUNDS = 5
PAGE = 12
SEED = 7


def ranges() -> list[KeyRange]:
    """By id, by user, the newest page of a user, and pages of the public gallery."""
    share = RANGES // 4
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


def touches(kind: str, random: Random) -> list[Touch]:
    """Keys that fall somewhere among the ranges."""
    numbers = [random.randrange(RANGES // 4) for _ in range(KEYS)]
    if kind == "by id":
        return [Touch("images", "by_id", key_of(f"image{number}")) for number in numbers]
    if kind == "by user":
        return [Touch("images", "by_user", key_of(f"user{number}", 2e12, "image")) for number in numbers]
    return [Touch("images", "by_featured", key_of(True, False, 1e12 + number, f"image{number}")) for number in numbers]


def fastest(act: Callable[[], None]) -> float:
    """Microseconds per key in the best of a few rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = perf_counter()
        act()
        best = min(best, perf_counter() - began)
    return best / KEYS * 1e6


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


def main() -> None:
    """Print one line per kind of key."""
    random = Random(SEED)
    matcher: Matcher[int] = Matcher()
    held = ranges()
    began = perf_counter()
    for token, each in enumerate(held):
        matcher.watch(token, ReadSet((each,)))
    watching = (perf_counter() - began) / len(held) * 1e6
    print(f"{matcher!r}; {watching:.1f} us to watch one")
    print(f"{'key':<10} {'hits/key':>9} {'floor us':>9} {'match us':>9} {'ratio':>7}")
    for kind in ("by id", "by user", "crowded"):
        keys = touches(kind, random)
        writes = [WriteSet(frozenset({each})) for each in keys]
        hits = sum(len(matcher.hits(each)) for each in writes) / len(writes)
        plain = {each.key: 0 for each in keys} | {each.prefix: 0 for each in held}
        floor = fastest(look_up(plain, [each.key for each in keys]))
        spent = fastest(match(matcher, writes))
        print(f"{kind:<10} {hits:>9.1f} {floor:>9.2f} {spent:>9.2f} {spent / floor:>6.1f}x")


if __name__ == "__main__":
    main()
