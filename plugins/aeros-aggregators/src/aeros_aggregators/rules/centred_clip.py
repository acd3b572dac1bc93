"""Clipping around where the last rounds went, which bears with attackers that agree."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from aeros_aggregators.arrays.host import host, is_real, working
from aeros_aggregators.options import check_option
from aeros_aggregators.personal import Personal
from aeros_aggregators.reduction import distances, server_steps
from aeros_aggregators.reduction.moments import Moments
from aeros_aggregators.reduction.server_steps import ServerStep
from aeros_aggregators.reduction.weighted_sum import WeightedSum
from aeros_core.arrays import Array
from aeros_core.messages import State, Update
from aeros_core.numerics.aggregation import check_layout
from aeros_core.parameters import Parameters

__all__ = ["CentredClip"]

ABSURD = 1e-20
"""Where less than this is kept of updates, all of them so long, nothing is."""


class CentredClip(Personal):
    """Mean of the updates, each held within a distance of the last rounds' momentum.

    Karimireddy et al., Learning from History for Byzantine Robust Optimization (2021),
    Centered Clipping and its use with momentum; arXiv:2012.10333. With v the result of
    the last round and m_i = momentum v + (1 - momentum) change_i, each iteration moves v
    by the mean of (m_i - v) min(1, tau / |m_i - v|), and v is what the parameters change
    by. The paper's workers each keep their own momentum; nodes here keep nothing, so that
    of the server stands for it. Numbers of examples do not count. With one iteration no
    update is held.

    Args:
        tau: Distance from the centre to which further updates are shortened.
        iterations: Passes over the updates.
        momentum: Part of the last change that is kept, beta.

    Raises:
        ConfigError: A value is out of its range.
    """

    def __init__(
        self, *, tau: float, iterations: int, momentum: float, personal: Sequence[str]
    ) -> None:
        super().__init__(personal=personal)
        check_option("tau", tau, tau > 0, "above 0")
        check_option("iterations", iterations, iterations >= 1, "1 or more")
        check_option("momentum", momentum, 0 <= momentum < 1, "0 to below 1")
        self._tau, self._iterations, self._momentum = tau, iterations, momentum
        self._sums = WeightedSum()
        self._last = Moments("centre")
        self._centre: dict[str, Array] = {}
        self._kept = 1.0

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the parameters after the step; without any update, ``parameters``."""
        self._centre = {
            dtype: self._before(parameters, dtype).copy()
            for dtype in parameters.vectors
            if is_real(dtype)
        }
        held = updates if self._iterations == 1 else list(updates)
        for _ in range(self._iterations):
            if not self._add(parameters, held):
                return parameters
            result = self._sums.step(self._step)
        for dtype, centre in self._centre.items():
            self._before(parameters, dtype)[:] = centre
        return result

    def _before(self, parameters: Parameters, dtype: str) -> Array:
        base = host(parameters.vectors[dtype], working(dtype))
        return self._last.beside(base, f"centre.{dtype}")

    def _add(self, parameters: Parameters, updates: Iterable[Update]) -> int:
        """Add up the updates, each weighted by how much of it is kept; return how many."""
        points = {dtype: self._points(parameters, dtype) for dtype in self._centre}
        self._sums.begin(parameters)
        count = 0
        for update in updates:
            check_layout(parameters, update)
            length = (1.0 - self._momentum) * _distance(update, points)
            self._sums.add(update, self._tau / length if length > self._tau else 1.0)
            count += 1
            del update
        self._kept = self._sums.weight / count if count else 0.0
        return count

    def _points(self, parameters: Parameters, dtype: str) -> tuple[Array, Array]:
        """Return the parameters, and the change, of an update at no distance at all."""
        base = host(parameters.vectors[dtype], working(dtype))
        last = self._before(parameters, dtype)
        change = (self._centre[dtype] - self._momentum * last) / (1.0 - self._momentum)
        return base + change, change

    def _step(self, term: ServerStep) -> None:
        """Move the centre by what is kept of the mean, in units of which `momentum` counts."""
        last, centre = self._last.of("centre", term), self._centre[term.dtype]
        rate = (1.0 - self._momentum) * self._kept
        there = self._momentum * self._kept * last
        centre *= 1.0 - self._kept
        centre += there
        if rate < ABSURD:
            term.out[:] = term.base + centre
            return
        centre /= rate
        server_steps.momentum(term, centre, 1.0, rate)
        centre *= rate

    def state(self) -> State:
        """Return ``centre.<dtype>``, what the parameters changed by last."""
        return self._last.state()

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        self._last.restore(state)


def _distance(update: Update, points: dict[str, tuple[Array, Array]]) -> float:
    """Return how far an update is from its point, over floating-point parameters."""
    total = 0.0
    for dtype, both in points.items():
        row = host(update.parameters.vectors[dtype], working(dtype))
        total += distances.gap(row, both[update.delta])
    return math.sqrt(total)
