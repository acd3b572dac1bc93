"""The part of the contract of `collector.Collector` that is about what it remembers and tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from aeros_core.messages import State, Update
from aeros_core.roles.collector import Collector, SupportsBroadcast
from aeros_core.roles.stateful import SupportsState
from aeros_core.testing.examples.updates import Drawn, sealed

__all__ = ["MemoryContract"]


class MemoryContract(Drawn):
    """What every collector does with its state; see `collector.CollectorTests`."""

    def test_state_goes_on_exactly(self) -> None:
        """A new collector that takes up the state gives the bits the old one gives."""
        rng = np.random.default_rng(4)
        collector, here = self.make(), self.parameters(rng)
        for _ in range(2):
            here = sealed(collector.aggregate(here, self.updates(rng, 4)).copy())
        other, stored = self.make(), _stored(collector)
        if isinstance(other, SupportsState):
            other.restore(stored)
        for _ in range(2):
            updates = self.updates(rng, 4)
            there = other.aggregate(here, updates)
            here = sealed(collector.aggregate(here, updates).copy())
            assert there.digest == here.digest

    def test_state_is_a_snapshot(self) -> None:
        """A state is arrays and scalars by name, which later rounds do not change."""
        collector = self.make()
        if not isinstance(collector, SupportsState):
            return
        rng = np.random.default_rng(5)
        start = self.parameters(rng)
        collector.aggregate(start, self.updates(rng, 4))
        state = collector.state()
        before = {name: np.array(value) for name, value in state.items()}
        collector.aggregate(start, self.updates(rng, 4))
        for name, value in state.items():
            assert isinstance(name, str)
            assert isinstance(value, float | int | str) or np.asarray(value).ndim == 1
            np.testing.assert_array_equal(value, before[name])

    def test_state_of_a_new_collector_restores(self) -> None:
        """The state before any round can be restored too."""
        collector, other = self.make(), self.make()
        if isinstance(collector, SupportsState) and isinstance(other, SupportsState):
            other.restore(collector.state())
        rng = np.random.default_rng(6)
        start, updates = self.parameters(rng), self.updates(rng, 4)
        first = collector.aggregate(start, updates)
        assert first.digest == other.aggregate(start, updates).digest

    def test_broadcast_is_numbers_by_name(self) -> None:
        """What is announced is finite scalars, and vectors as long as the parameters."""
        collector = self.make()
        if not isinstance(collector, SupportsBroadcast):
            return
        announced = collector.broadcast(1)
        for name, value in announced.scalars.items():
            assert isinstance(name, str)
            assert np.isfinite(value)
        for vector in announced.vectors.values():
            assert np.asarray(vector).ndim == 1
            assert np.asarray(vector).dtype == np.float32

    def test_a_round_that_is_broken_off_leaves_no_trace(self) -> None:
        """A round below its quorum is run again: what came of the first must not count."""
        rng = np.random.default_rng(7)
        collector, other = self.make(), self.make()
        start, updates = self.parameters(rng), self.updates(rng, 4)
        for one in (collector, other):
            here = sealed(one.aggregate(start, updates).copy())
        with pytest.raises(_Broken):
            collector.aggregate(here, _broken(self.updates(rng, 4)))
        kept, expected_state = _stored(collector), _stored(other)
        assert kept.keys() == expected_state.keys()
        for name, value in kept.items():
            np.testing.assert_array_equal(value, expected_state[name], err_msg=name)
        again = self.updates(rng, 4)
        expected = other.aggregate(here, again)
        assert collector.aggregate(here, again).digest == expected.digest


class _Broken(Exception):
    """Ends a round."""


def _broken(updates: Sequence[Update]) -> Iterator[Update]:
    yield from updates
    raise _Broken


def _stored(collector: Collector) -> State:
    """Return the state as it comes back from a store: other arrays, which are read-only."""
    stored: dict[str, Any] = {}
    state = collector.state() if isinstance(collector, SupportsState) else {}
    for name, value in state.items():
        stored[name] = value
        if not isinstance(value, float | int | str):
            stored[name] = np.array(value)
            stored[name].flags.writeable = False
    return stored
