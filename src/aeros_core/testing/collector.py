"""The contract of a collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aeros_core.arrays import Array
from aeros_core.messages import Update
from aeros_core.roles.collector import Collector
from aeros_core.testing.examples.updates import difference, sealed
from aeros_core.testing.mixins.collector_state import MemoryContract
from aeros_core.testing.options import OptionsContract

__all__ = ["CollectorTests"]

HELD = 32
"""Updates that a linear rule may hold at once; the kit sends many more."""

_SEEDS = st.integers(0, 2**32 - 1)
_SOME = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.differing_executors],
)


class CollectorTests(MemoryContract, OptionsContract):
    """Tests that any collector passes. A subclass defines `make`, and may say more.

    ``make()`` returns a new collector, in the state it has before the first round.

    Attributes:
        linear: The rule adds updates up as they come, so it holds but a few of them.
        fixed_point: Updates that are all the same are the result. An optimizer on the
            server goes another way; even so, updates that change nothing must not.
        symmetric: The order of the updates changes the result by rounding alone.
        least: The fewest updates the rule can work with.
        dtypes: The dtypes of the parameters it is tried with.
        tolerance: What rounding may do to float32 numbers of magnitude one.
    """

    def use(self, part: Collector) -> None:
        """Aggregate some updates."""
        rng = np.random.default_rng(0)
        part.aggregate(self.parameters(rng), iter(self.updates(rng, self.least)))

    def test_is_a_collector(self) -> None:
        """The object has the role's method."""
        assert isinstance(self.make(), Collector)

    def test_no_update_changes_nothing(self) -> None:
        """Without any update the parameters come back, and a later round is not affected."""
        rng = np.random.default_rng(0)
        start, updates = self.parameters(rng), self.updates(rng, 3)
        collector = self.make()
        assert collector.aggregate(start, iter(())).digest == start.digest
        after = collector.aggregate(start, updates)
        assert after.digest == self.make().aggregate(start, updates).digest

    @_SOME
    @given(seed=_SEEDS, count=st.integers(0, 12))
    def test_keeps_the_layout(self, seed: int, count: int) -> None:
        """Whatever the number of updates: same layout and dtypes, no number not finite."""
        rng = np.random.default_rng(seed)
        start = self.parameters(rng)
        result = self.make().aggregate(start, iter(self.updates(rng, count)))
        assert result.layout == start.layout
        for dtype, vector in result.vectors.items():
            host = np.asarray(vector)
            assert host.dtype == dtype
            assert np.isfinite(host.astype(np.float64)).all()

    @_SOME
    @given(seed=_SEEDS, count=st.integers(0, 12), delta=st.booleans())
    def test_never_changes_what_it_is_given(self, seed: int, count: int, delta: bool) -> None:
        """Parameters and updates hold the same bits after two rounds as before."""
        rng = np.random.default_rng(seed)
        start, updates = self.parameters(rng), self.updates(rng, count)
        given = [difference(u, start) if delta else u for u in updates]
        before = [start.digest, *(update.parameters.digest for update in given)]
        collector = self.make()
        for _ in range(2):
            collector.aggregate(start, given)
        assert [start.digest, *(update.parameters.digest for update in given)] == before

    def test_result_is_not_changed_by_later_rounds(self) -> None:
        """What a round returned stays as it is while the collector goes on."""
        rng = np.random.default_rng(1)
        collector, start = self.make(), self.parameters(rng)
        result = collector.aggregate(start, self.updates(rng, 3))
        before = result.digest
        collector.aggregate(sealed(result.copy()), self.updates(rng, 3))
        assert result.digest == before

    def test_takes_updates_once(self) -> None:
        """Updates are taken from the iterable once, every one of them."""
        rng = np.random.default_rng(2)
        start, updates = self.parameters(rng), self.updates(rng, 10)
        stream = _Once(updates)
        self.make().aggregate(start, stream)
        assert stream.started == 1
        assert stream.taken == len(updates)

    @_SOME
    @given(seed=_SEEDS, count=st.integers(0, 20))
    def test_same_updates_give_the_same_bits(self, seed: int, count: int) -> None:
        """Same updates in the same order: the same bits, from a list or a generator."""
        rng = np.random.default_rng(seed)
        start, updates = self.parameters(rng), self.updates(rng, count)
        first = self.make().aggregate(start, updates)
        second = self.make().aggregate(start, (update for update in updates))
        assert first.digest == second.digest

    @_SOME
    @given(seed=_SEEDS, count=st.integers(0, 12))
    def test_order_of_arrival_matters_not(self, seed: int, count: int) -> None:
        """Another order changes the result by rounding alone, if the rule is symmetric."""
        if not self.symmetric:
            return
        rng = np.random.default_rng(seed)
        start, updates = self.parameters(rng), self.updates(rng, count)
        shuffled = [updates[i] for i in rng.permutation(len(updates))]
        first = self.make().aggregate(start, updates)
        self.assert_close(self.make().aggregate(start, shuffled), first)

    @_SOME
    @given(seed=_SEEDS, count=st.integers(0, 12))
    def test_identical_updates_are_a_fixed_point(self, seed: int, count: int) -> None:
        """Updates that all agree are the result; those that change nothing in any case."""
        rng = np.random.default_rng(seed)
        start, updates = self.parameters(rng), self.updates(rng, count)
        agreed = updates[0].parameters if self.fixed_point else start
        same = [replace(update, parameters=agreed) for update in updates]
        self.assert_close(self.make().aggregate(start, same), agreed)

    @_SOME
    @given(seed=_SEEDS, count=st.integers(0, 12), kinds=st.integers(0, 2**20))
    def test_differences_do_as_well_as_parameters(self, seed: int, count: int, kinds: int) -> None:
        """An update may be parameters or their difference to the global ones, each by itself."""
        rng = np.random.default_rng(seed)
        start, updates = self.parameters(rng), self.updates(rng, count)
        result = self.make().aggregate(start, updates)
        differences = [difference(update, start) for update in updates]
        self.assert_close(self.make().aggregate(start, differences), result)
        pairs = zip(updates, differences, strict=True)
        mixed = [pair[kinds >> i & 1] for i, pair in enumerate(pairs)]
        self.assert_close(self.make().aggregate(start, mixed), result)

    def test_holds_few_updates_of_many(self) -> None:
        """A linear rule lets updates go, however many there are."""
        rng = np.random.default_rng(3)
        start, alive = self.parameters(rng), _Alive()
        clients = 300 if self.linear else self.least + 40
        many = (alive.watch(self.updates(rng, 0)[0]) for _ in range(clients))
        result = self.make().aggregate(start, many)
        assert result.layout == start.layout
        assert alive.count == clients
        assert alive.most <= HELD or not self.linear


class _Once:
    """Updates that count how often they were asked for."""

    def __init__(self, updates: Sequence[Update]) -> None:
        self._updates = updates
        self.started = 0
        self.taken = 0

    def __iter__(self) -> Iterator[Update]:
        self.started += 1
        for update in self._updates:
            self.taken += 1
            yield update


class _Alive:
    """Counts how many of the updates it has seen are still held by anybody."""

    def __init__(self) -> None:
        self._seen: list[weakref.ref[Array]] = []
        self.count = 0
        self.most = 0

    def watch(self, update: Update) -> Update:
        gc.collect(0)
        self.count += 1
        self._seen = [ref for ref in self._seen if ref() is not None]
        self._seen.append(weakref.ref(next(iter(update.parameters.vectors.values()))))
        self.most = max(self.most, len(self._seen))
        return update
