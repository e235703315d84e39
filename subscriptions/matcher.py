"""The matcher: which watchers a commit concerns, found by key and not by asking every range.

Invariant: `hits` names exactly the tokens whose ranges `schema.readset.overlap` the write set. Equal ranges are held
once, whoever watches them, and a range that nobody watches is not held at all.

Ranges lie under their index, the length of their equality prefix, and the prefix itself; those that share all three
form an interval tree. A key therefore costs one look-up per prefix length in use, then the intervals that contain it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeAlias, TypeVar

from schema.keys import Key, KeyRange
from schema.readset import ReadSet, Touch, WriteSet

K = TypeVar("K", bound=Hashable)

FEW_TOKENS = 4
"""Up to so many tokens stay in a tuple: most ranges have one watcher, and a set of one takes 216 bytes."""


class _Interval(Generic[K]):
    """The rests of keys in `[low, high)`, the tokens that watch them, and two subtrees of other intervals.

    Invariant: sorted by (low, high) from left to right; no child weighs more than its parent, and weights are as good
    as random, which keeps the tree shallow; `peak` is the greatest `high` of the whole subtree.
    """

    __slots__ = ("high", "left", "low", "peak", "right", "tokens", "weight")

    def __init__(self, low: Key, high: Key) -> None:
        self.low, self.high, self.peak = low, high, high
        self.weight = hash((low, high))
        self.left: _Interval[K] | None = None
        self.right: _Interval[K] | None = None
        self.tokens: tuple[K, ...] | set[K] = ()

    def __repr__(self) -> str:
        return f"<_Interval {self.low}..{self.high}, {len(self.tokens)} tokens>"

    def side(self, low: Key, high: Key) -> int:
        """Where `[low, high)` belongs: below zero on the left, above zero on the right, zero here."""
        if low == self.low:
            return 0 if high == self.high else -1 if high < self.high else 1
        return -1 if low < self.low else 1

    def add(self, token: K) -> None:
        """Let `token` watch, if it does not already."""
        if isinstance(self.tokens, set):
            self.tokens.add(token)
        elif token not in self.tokens:
            joined = (*self.tokens, token)
            self.tokens = joined if len(joined) <= FEW_TOKENS else set(joined)

    def discard(self, token: K) -> None:
        """Let `token` watch no longer, if it did."""
        if isinstance(self.tokens, set):
            self.tokens.discard(token)
        else:
            self.tokens = tuple(each for each in self.tokens if each != token)


_Tree: TypeAlias = _Interval[K] | None
_Index: TypeAlias = dict[int, dict[Key, _Interval[K]]]


class Matcher(Generic[K]):
    """Tokens and the ranges they watch."""

    __slots__ = ("_indexes", "_ranges", "_watched")

    def __init__(self) -> None:
        self._indexes: dict[tuple[str, str], _Index[K]] = {}
        self._watched: dict[K, tuple[KeyRange, ...]] = {}
        self._ranges = 0

    def __len__(self) -> int:
        return len(self._watched)

    def __repr__(self) -> str:
        tables = ", ".join(sorted({table for table, _ in self._indexes})) or "no table"
        return f"<Matcher {len(self._watched)} tokens, {self._ranges} ranges of {tables}>"

    def watch(self, token: K, reads: ReadSet) -> None:
        """Let `token` be hit by what meets `reads`, and by nothing that only met its earlier read set."""
        before = self._watched.get(token, ())
        self._watched[token] = reads.ranges
        if before == reads.ranges:
            return
        for each in before:
            self._release(token, each)
        for each in reads.ranges:
            self._hold(token, each)

    def unwatch(self, token: K) -> None:
        """Forget `token`. One that is not watched stays so."""
        for each in self._watched.pop(token, ()):
            self._release(token, each)

    def hits(self, writes: WriteSet) -> set[K]:
        """The tokens whose ranges the write set meets."""
        found: set[K] = set()
        for touch in writes.touches:
            self._hit_by_key(touch, found)
        if writes.tables:
            self._hit_by_table(writes.tables, found)
        return found

    def _hit_by_key(self, touch: Touch, found: set[K]) -> None:
        index = self._indexes.get((touch.table, touch.index))
        if index is None:
            return
        key = touch.key
        for size, trees in index.items():
            tree = trees.get(key[:size])
            if tree is not None:
                _stab(tree, key[size:], found)

    def _hit_by_table(self, tables: frozenset[str], found: set[K]) -> None:
        for (table, _), index in self._indexes.items():
            if table in tables:
                for trees in index.values():
                    for tree in trees.values():
                        for interval in _walk(tree):
                            found.update(interval.tokens)

    def _hold(self, token: K, keys: KeyRange) -> None:
        index = self._indexes.setdefault((keys.table, keys.index), {})
        trees = index.setdefault(len(keys.prefix), {})
        tree = trees.get(keys.prefix)
        interval = _find(tree, keys.low, keys.high)
        if interval is None:
            interval = _Interval(keys.low, keys.high)
            trees[keys.prefix] = _with(tree, interval)
            self._ranges += 1
        interval.add(token)

    def _release(self, token: K, keys: KeyRange) -> None:
        size = len(keys.prefix)
        index = self._indexes.get((keys.table, keys.index), {})
        trees = index.get(size, {})
        tree = trees.get(keys.prefix)
        interval = _find(tree, keys.low, keys.high)
        if tree is None or interval is None:
            return  # a read set may name a range twice
        interval.discard(token)
        if interval.tokens:
            return
        self._ranges -= 1
        rest = _without(tree, interval)
        if rest is not None:
            trees[keys.prefix] = rest
            return
        del trees[keys.prefix]
        if not trees:
            del index[size]
        if not index:
            del self._indexes[keys.table, keys.index]


def _stab(tree: _Interval[K], rest: Key, found: set[K]) -> None:
    """Add the tokens of every interval that contains `rest`."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if node.low <= rest:
            if rest < node.high:
                found.update(node.tokens)
            right = node.right
            if right is not None and rest < right.peak:
                todo.append(right)
        left = node.left
        if left is not None and rest < left.peak:
            todo.append(left)


def _walk(tree: _Interval[K]) -> Iterator[_Interval[K]]:
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(child for child in (node.left, node.right) if child is not None)


def _find(tree: _Tree[K], low: Key, high: Key) -> _Tree[K]:
    while tree is not None:
        side = tree.side(low, high)
        if side == 0:
            return tree
        tree = tree.left if side < 0 else tree.right
    return None


def _with(tree: _Tree[K], fresh: _Interval[K]) -> _Interval[K]:
    """The tree with `fresh`, which it did not hold."""
    if tree is None or fresh.weight > tree.weight:
        fresh.left, fresh.right = _split(tree, fresh)
        return _settled(fresh)
    if tree.side(fresh.low, fresh.high) < 0:
        tree.left = _with(tree.left, fresh)
    else:
        tree.right = _with(tree.right, fresh)
    return _settled(tree)


def _without(tree: _Tree[K], gone: _Interval[K]) -> _Tree[K]:
    """The tree without `gone`, whether or not it held it."""
    if tree is None or tree is gone:
        return tree and _joined(tree.left, tree.right)
    if tree.side(gone.low, gone.high) < 0:
        tree.left = _without(tree.left, gone)
    else:
        tree.right = _without(tree.right, gone)
    return _settled(tree)


def _split(tree: _Tree[K], at: _Interval[K]) -> tuple[_Tree[K], _Tree[K]]:
    """What lies on the left of `at`, and what lies on its right."""
    if tree is None:
        return None, None
    if tree.side(at.low, at.high) < 0:
        left, tree.left = _split(tree.left, at)
        return left, _settled(tree)
    tree.right, right = _split(tree.right, at)
    return _settled(tree), right


def _joined(left: _Tree[K], right: _Tree[K]) -> _Tree[K]:
    """Two trees as one, where all of `left` sorts before all of `right`."""
    if left is None or right is None:
        return left or right
    if left.weight > right.weight:
        left.right = _joined(left.right, right)
        return _settled(left)
    right.left = _joined(left, right.left)
    return _settled(right)


def _settled(node: _Interval[K]) -> _Interval[K]:
    """The node, after its children changed."""
    peak = node.high
    if node.left is not None and peak < node.left.peak:
        peak = node.left.peak
    if node.right is not None and peak < node.right.peak:
        peak = node.right.peak
    node.peak = peak
    return node
