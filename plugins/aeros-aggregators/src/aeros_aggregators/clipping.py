"""Clipping around where the last rounds went, which bears with attackers that agree."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from aeros_aggregators import distance
from aeros_aggregators.limits import demand
from aeros_aggregators.moments import Moments
from aeros_aggregators.personal import Personal
from aeros_aggregators.steps import Term
from aeros_aggregators.sums import Sums, check_layout
from aeros_aggregators.vectors import host, is_real, working
from aeros_core.messages import State, Update
from aeros_core.parameters import Array, Parameters

__all__ = ["CentredClip"]


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
        demand("tau", tau, tau > 0, "above 0")
        demand("iterations", iterations, iterations >= 1, "1 or more")
        demand("momentum", momentum, 0 <= momentum < 1, "0 to below 1")
        self._tau, self._iterations, self._momentum = tau, iterations, momentum
        self._sums = Sums()
        self._last = Moments("centre")
        self._centre: dict[str, Array] = {}
        self._kept = 1.0

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the parameters after the step; without any update, ``parameters``."""
        self._centre = {
            dtype: self._before(parameters, dtype).astype(np.float64)
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
        points = {dtype: self._point(parameters, dtype) for dtype in self._centre}
        self._sums.begin(parameters)
        count = 0
        for update in updates:
            check_layout(parameters, update)
            length = (1.0 - self._momentum) * _distance(parameters, update, points)
            self._sums.add(update, self._tau / length if length > self._tau else 1.0)
            count += 1
            del update
        self._kept = self._sums.weight / count if count else 0.0
        return count

    def _point(self, parameters: Parameters, dtype: str) -> Array:
        """Return the change from which an update's own has no distance at all."""
        kind, keep = working(dtype), self._momentum
        last = self._before(parameters, dtype)
        point = (self._centre[dtype] - keep * last.astype(np.float64)) / (1.0 - keep)
        moved: Array = point.astype(kind)
        return moved

    def _step(self, term: Term) -> None:
        last, centre = self._last.of("centre", term), self._centre[term.dtype]
        arrived = self._momentum * last.astype(np.float64) + (1.0 - self._momentum) * term.change()
        centre += self._kept * (arrived - centre)
        term.out[:] = term.base + centre

    def state(self) -> State:
        """Return ``centre.<dtype>``, what the parameters changed by last."""
        return self._last.state()

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        self._last.restore(state)


def _distance(parameters: Parameters, update: Update, points: dict[str, Array]) -> float:
    """Return how far an update's change is from a point, over floating-point parameters."""
    total = 0.0
    for dtype, point in points.items():
        kind = working(dtype)
        row = host(update.parameters.vectors[dtype], kind)
        there = point if update.delta else point + host(parameters.vectors[dtype], kind)
        total += distance.gap(row, there)
    return math.sqrt(total)
