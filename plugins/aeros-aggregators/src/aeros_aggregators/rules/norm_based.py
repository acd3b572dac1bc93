"""Linear rules that go by how far each update moves, which takes one more look at it.

Lengths are L2 norms over all floating-point parameters. Every update is let go once it
is added, as in any linear rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from aeros_aggregators.arrays.host import host, is_real, working
from aeros_aggregators.options import check_option
from aeros_aggregators.personal import Personal
from aeros_aggregators.reduction import distances
from aeros_aggregators.reduction.weighted_sum import WeightedSum
from aeros_core.errors import DataError
from aeros_core.messages import Update
from aeros_core.numerics.aggregation import check_layout
from aeros_core.parameters import Parameters

__all__ = ["FedExP", "NormClip", "QFedAvg"]


class NormClip(Personal):
    """Mean of the updates, none of which may move further than a bound.

    Sun et al., Can You Really Backdoor Federated Learning? (2019), section 3.3;
    arXiv:1911.07963. Weighted by examples.

    Args:
        bound: Length to which longer changes are shortened.

    Raises:
        ConfigError: ``bound`` is not above 0.
    """

    def __init__(self, *, bound: float, personal: Sequence[str]) -> None:
        super().__init__(personal=personal)
        check_option("bound", bound, bound > 0, "above 0")
        self._bound = bound
        self._sums = WeightedSum()

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the mean of the clipped updates; without any update, ``parameters``."""
        self._sums.begin(parameters)
        examples = 0
        for update in updates:
            length = math.sqrt(_squared_length(parameters, update))
            factor = self._bound / length if length > self._bound else 1.0
            self._sums.add(update, factor * update.examples)
            examples += update.examples
            del update
        return self._sums.mean(float(examples)) if examples else parameters


class FedExP(Personal):
    """Federated averaging with an extrapolated step.

    Jhunjhunwala et al., FedExP: Speeding Up Federated Averaging via Extrapolation (2023),
    equation 8; arXiv:2301.09604. The mean change is multiplied by half the mean squared
    length of the changes over the squared length of their mean, if that is above 1; means
    are weighted by examples, where the paper has equal weights.

    Args:
        epsilon: Added to the squared length of the mean change.

    Raises:
        ConfigError: ``epsilon`` is below 0.
    """

    def __init__(self, *, epsilon: float, personal: Sequence[str]) -> None:
        super().__init__(personal=personal)
        check_option("epsilon", epsilon, epsilon >= 0, "0 or more")
        self._epsilon = epsilon
        self._sums = WeightedSum()

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the parameters after the extrapolated step; without updates, as they are."""
        self._sums.begin(parameters)
        lengths = 0.0
        for update in updates:
            lengths += update.examples * _squared_length(parameters, update)
            self._sums.add(update, update.examples)
            del update
        weight = self._sums.weight
        if not weight:
            return parameters
        mean = sum(distances.change(term) for term in self._sums.terms())
        least = 2.0 * (mean + self._epsilon)
        rate = max(1.0, lengths / weight / least) if least else 1.0
        return self._sums.mean(weight / rate)


class QFedAvg(Personal):
    """q-fair federated averaging: clients with a higher loss count for more.

    Li et al., Fair Resource Allocation in Federated Learning (2020), algorithm 2;
    arXiv:1905.10497. The loss is each update's metric ``loss``; as in flwr, 1e-10 is added
    to it. Numbers of examples do not count.

    Args:
        q: Fairness.
        client_lr: Learning rate of the clients, of which the paper's L is the inverse.

    Raises:
        ConfigError: A value is out of its range.
    """

    def __init__(self, *, q: float, client_lr: float, personal: Sequence[str]) -> None:
        super().__init__(personal=personal)
        check_option("q", q, q >= 0, "0 or more")
        check_option("client_lr", client_lr, client_lr > 0, "above 0")
        self._q, self._inverse = q, 1.0 / client_lr
        self._sums = WeightedSum()

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the parameters after the step; without any update, ``parameters``.

        Raises:
            DataError: An update has no loss that is 0 or more.
        """
        self._sums.begin(parameters)
        divisor = 0.0
        for update in updates:
            loss = _loss(update) + 1e-10
            slope = self._inverse * math.pow(loss, self._q)
            length = self._inverse**2 * _squared_length(parameters, update)
            divisor += self._q * math.pow(loss, self._q - 1.0) * length + slope
            self._sums.add(update, slope)
            del update
        return self._sums.mean(divisor) if divisor else parameters


def _squared_length(parameters: Parameters, update: Update) -> float:
    """Return the squared length of an update's change."""
    check_layout(parameters, update)
    total = 0.0
    for dtype, vector in update.parameters.vectors.items():
        if is_real(dtype):
            kind = working(dtype)
            base = None if update.delta else host(parameters.vectors[dtype], kind)
            total += distances.gap(host(vector, kind), base)
    return total


def _loss(update: Update) -> float:
    loss = update.metrics.get("loss", math.nan)
    if not loss >= 0.0:
        raise DataError(
            f"the update of node '{update.node}' has no loss of 0 or more to be fair by",
            exists=", ".join(f"{name}={value:g}" for name, value in update.metrics.items()),
            provider=update.node,
            hint="collector=fedavg, or a trainer that reports such a metric 'loss'",
        )
    return loss
