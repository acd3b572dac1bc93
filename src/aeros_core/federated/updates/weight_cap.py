"""The largest share of a round that one node may have: `task.max_share`.

A node reports its own number of examples, which is its weight in a mean. With a share s the
weights are w_i = min(n_i, c), where c is the greatest number with w_i <= s (w_1 + ... + w_K)
for every node: to cap one node makes the total smaller, so c is solved for, exactly. Where
K nodes are fewer than 1 / s, no weights but equal ones come near, and s is taken as 1 / K.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from aeros_core.messages import Update
from aeros_core.numerics import proportions

__all__ = ["FEWEST", "cap", "capped", "weights"]

FEWEST = 3
"""Nodes that are asked from which on shares are limited: one or two have no majority."""

Note = Callable[[str, int], None]
"""Is told the name of a node whose weight was capped, and the examples it counts for."""


def cap(examples: Collection[int], share: float) -> int | None:
    """Return the most examples that one node may count for; None where none has more.

    Args:
        examples: What each node reports, 1 or more.
        share: Largest share of the total, above 0, up to 1.
    """
    if not examples:
        return None
    part = proportions.exact(share)
    if part.numerator * len(examples) < part.denominator:
        part = Fraction(1, len(examples))
    return _cap(examples, part)


def weights(examples: Mapping[str, int], share: float, asked: int) -> dict[str, int]:
    """Return the examples that each node counts for.

    Args:
        examples: What each node reports, 1 or more.
        share: Largest share of the total, above 0, up to 1.
        asked: Number of nodes that were asked; below `FEWEST` nothing is capped.
    """
    limit = cap(examples.values(), share) if asked >= FEWEST else None
    return {n: count if limit is None else min(count, limit) for n, count in examples.items()}


def capped(
    updates: Iterable[Update],
    share: float,
    note: Note,
    stated: Collection[int] = (),
) -> Iterator[Update]:
    """Yield the updates of a round, none of whose nodes exceeds the share.

    An update is passed on as soon as it is certain that its node will not exceed; the order
    stays unless a node does. What waits is little: the first updates, and those that do.

    Args:
        updates: Accepted updates of a round, as they arrive.
        share: Largest share of the total, above 0, up to 1.
        note: Is told who was capped, once all have arrived.
        stated: Examples that the nodes of the round have at most, where all are known: who
            exceeds by them waits aside, so that others need not wait behind it.
    """
    part, seen = proportions.exact(share), _Seen()
    expected = cap(stated, share) if stated and all(stated) else None
    waiting: deque[Update] = deque()
    aside: deque[Update] = deque()
    for update in updates:
        seen.add(update)
        (waiting if expected is None or update.examples <= expected else aside).append(update)
        del update  # held by the queues alone, and let go once passed on
        while waiting and seen.is_certain(waiting[0].node, part):
            yield waiting.popleft()
    limit = cap(seen.examples.values(), share)
    for node, count in seen.examples.items():
        if limit is not None and count > limit:
            note(node, limit)
    waiting.extend(aside)
    aside.clear()
    while waiting:
        yield seen.within(waiting.popleft(), limit)


class _Seen:
    """Examples of the nodes whose updates have arrived; of one that sent several, their sum."""

    def __init__(self) -> None:
        self.examples: dict[str, int] = {}
        self._total = self._largest = 0
        self._left: dict[str, int] = {}

    def add(self, update: Update) -> None:
        """Count an update."""
        count = self.examples.get(update.node, 0) + update.examples
        self.examples[update.node] = count
        self._total += update.examples
        self._largest = max(self._largest, count)

    def is_certain(self, node: str, share: Fraction) -> bool:
        """Return whether a node stays uncapped, whoever else comes: the cap only rises."""
        part, whole = share.numerator, share.denominator  # integers: fractions are slow
        if self._largest * whole <= self._total * part:
            return True
        if part * len(self.examples) < whole:
            return False
        limit = _cap(self.examples.values(), share)
        return limit is None or self.examples[node] <= limit

    def within(self, update: Update, limit: int | None) -> Update:
        """Return an update with the examples that are left to its node, at least one."""
        if limit is None or self.examples[update.node] <= limit:
            return update
        left = self._left.get(update.node, limit)
        count = max(min(update.examples, left), 1)
        self._left[update.node] = left - count
        return update if count == update.examples else replace(update, examples=count)


def _cap(examples: Collection[int], share: Fraction) -> int | None:
    """Return the cap for a share of at least 1 / K, rounded down, which keeps it."""
    part, whole = share.numerator, share.denominator  # integers: fractions are slow
    if max(examples) * whole <= sum(examples) * part:
        return None
    largest = heapq.nlargest(-(-whole // part) + 1, examples)
    rest = sum(examples)
    for number, size in enumerate(largest, 1):
        rest -= size
        room = whole - part * number
        if room <= 0:
            return size
        if number == len(largest) or part * rest >= largest[number] * room:
            return part * rest // room
    raise AssertionError("a share of at least 1 / K has a cap")
