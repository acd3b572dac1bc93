"""Weighted means of updates: what an aggregation rule gets right once, and every rule needs.

An update holds parameters or their difference to the global ones (`Update.delta`), plain or
compressed (`Encoded`), in several dtypes. `weighted_mean` takes them all::

    def aggregate(self, parameters, updates):
        return weighted_mean(parameters, updates)

is federated averaging (McMahan et al. 2017, algorithm 1; arXiv:1602.05629). The updates are
added as they arrive and are not held. `WeightedMean` is the same, one update at a time.

Floating-point numbers are added in float64, and the mean is rounded once. Integers and truth
values travel as values, also in a difference; their mean is that of `integer_means`: to the nearest
integer, half to even, and the majority of truth values.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable

import numpy as np

from aeros_core.arrays import Array, on_host
from aeros_core.errors import DataError
from aeros_core.messages import Update
from aeros_core.numerics.dtypes import check_dtypes, is_real
from aeros_core.numerics.integer_means import IntegerMean
from aeros_core.parameters import Parameters

__all__ = ["WeightedMean", "check_layout", "weighted_mean"]

_BLOCK = 1 << 16
"""Elements that are converted to float64 at a time: half a megabyte, which caches hold."""


def weighted_mean(
    parameters: Parameters, updates: Iterable[Update], weights: Iterable[float] | None = None
) -> Parameters:
    """Return the weighted mean of updates as parameters on the host.

    Args:
        parameters: The global parameters of the round, to which differences are added.
        updates: Full parameters, differences, or some of each; consumed once, in order.
        weights: One for each update, 0 or more; None: each update's number of examples.

    Returns:
        The mean, of the layout and dtypes of ``parameters``; ``parameters`` themselves where
        there is no update.

    Raises:
        ConfigError: The layout has a dtype that is not averaged (`dtypes.AVERAGED`).
        DataError: An update has another layout; a weight is negative or not finite; the
            weights add up to 0 or beyond float64.
        ValueError: There are more or fewer weights than updates.
    """
    mean = WeightedMean(parameters)
    if weights is None:
        for update in updates:
            mean.add(update)
            del update  # while the next one is awaited, this one may be freed
    else:
        for update, weight in zip(updates, weights, strict=True):
            mean.add(update, weight)
            del update
    return mean.result()


class WeightedMean:
    """The weighted mean of updates that are added one at a time and not held.

    It holds one float64 vector for each dtype. See `weighted_mean` for what it averages.

    Args:
        parameters: The global parameters of the round, to which differences are added.

    Raises:
        ConfigError: The layout has a dtype that is not averaged (`dtypes.AVERAGED`).
    """

    def __init__(self, parameters: Parameters) -> None:
        check_dtypes(parameters.layout)
        sizes = parameters.layout.sizes
        self._parameters = parameters
        self._totals = {d: np.zeros(n, np.float64) for d, n in sizes.items() if is_real(d)}
        self._integers = {d: IntegerMean() for d in sizes if not is_real(d)}
        self._weight = self._differences = 0.0
        self._empty = True

    def add(self, update: Update, weight: float | None = None) -> None:
        """Add an update.

        Args:
            update: Full parameters or a difference.
            weight: 0 or more; None: the update's number of examples.

        Raises:
            DataError: The update has another layout, or the weight is negative or not finite.
                The mean is then as it was before.
        """
        check_layout(self._parameters, update)
        weight = _checked(update, update.examples if weight is None else weight)
        vectors = {d: on_host(update.parameters.vectors[d]) for d in self._parameters.layout.sizes}
        self._empty = False
        if weight == 0.0:
            return
        for dtype, total in self._totals.items():
            _add(total, vectors[dtype], weight)
        for dtype, integers in self._integers.items():
            integers.add(vectors[dtype], weight)
        self._weight += weight
        self._differences += weight if update.delta else 0.0

    def result(self) -> Parameters:
        """Return the mean of the updates so far; the global parameters where there is none.

        Raises:
            DataError: The weights add up to 0, or beyond float64.
        """
        if self._empty:
            return self._parameters
        if not 0.0 < self._weight < math.inf:
            raise DataError(
                f"the weights of the updates must add up to a finite number above 0,"
                f" got {self._weight:g}",
                hint="give at least one update a weight above 0",
            )
        vectors = {dtype: self._mean(dtype) for dtype in self._totals}
        vectors |= {dtype: whole.mean(self._weight) for dtype, whole in self._integers.items()}
        return Parameters(self._parameters.layout, vectors)

    def _mean(self, dtype: str) -> Array:
        """Return ``total / weight + part * base``, where part is that of the differences."""
        total, base = self._totals[dtype], on_host(self._parameters.vectors[dtype])
        part = self._differences / self._weight
        mean = np.empty(total.size, dtype)
        for start in range(0, total.size, _BLOCK):
            here = slice(start, start + _BLOCK)
            block = total[here] / self._weight
            if part:
                block += np.multiply(base[here], part, dtype=np.float64)
            with np.errstate(over="ignore"):  # beyond float16 is infinite: the core refuses it
                mean[here] = block
        return mean


def _add(total: Array, vector: Array, weight: float) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, total.size, _BLOCK):
            here = slice(start, start + _BLOCK)
            total[here] += np.multiply(vector[here], weight, dtype=np.float64)


def _checked(update: Update, weight: float) -> float:
    """Return a weight as float64.

    Raises:
        DataError: It is negative or not finite.
    """
    if not 0.0 <= weight <= sys.float_info.max:  # compares integers of any size
        raise DataError(
            f"the weight of an update must be a finite number from 0 on, got {weight}",
            provider=update.node,
            hint="compute weights from finite numbers, such as the number of examples",
        )
    return float(weight)


def check_layout(parameters: Parameters, update: Update) -> None:
    """Refuse an update whose tensors are not those of the parameters.

    Raises:
        DataError: It has another layout than the parameters.
    """
    layout = update.parameters.layout
    if layout is not parameters.layout and layout.digest != parameters.layout.digest:
        raise DataError(
            f"the update of node '{update.node}' has another layout than the parameters",
            exists=f"tensors {', '.join(t.name for t in parameters.layout.tensors)}",
            provider=update.node,
            hint="build the node's model from the same configuration",
        )
