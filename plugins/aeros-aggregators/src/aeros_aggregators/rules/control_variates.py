"""Rules that correct each node's gradient for how its data differ from the others'.

What they know of a node stays here, in the collector's state: nodes need not remember
anything, and a resumed run goes on exactly. It is a model in memory, and in the state of
every round, for each node that has taken part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from aeros_aggregators.options import check_option
from aeros_aggregators.personal import Personal
from aeros_aggregators.reduction.client_vectors import DTYPE, ClientVectors
from aeros_aggregators.reduction.update_scalars import reach, reported
from aeros_aggregators.reduction.weighted_sum import WeightedSum
from aeros_core.arrays import Array
from aeros_core.messages import Broadcast, State, Update
from aeros_core.parameters import Parameters

__all__ = ["FedDyn", "Scaffold"]


class _ControlVariates(Personal):
    """What both rules do: sum up the updates, and bring each node's own vector up to date."""

    def __init__(self, *, clients: int, personal: Sequence[str]) -> None:
        super().__init__(personal=personal)
        self._variates = ClientVectors(clients)
        self._sums = WeightedSum()

    def _take(
        self,
        parameters: Parameters,
        updates: Iterable[Update],
        times: Callable[[Update], float],
        common: Array | None = None,
    ) -> None:
        """Add up updates; to each node's vector add ``times`` its change, less ``common``."""
        base = self._variates.base(parameters)
        fresh: list[tuple[str, Array, float]] = []
        self._sums.begin(parameters)
        for update in updates:
            self._sums.add(update, update.examples)
            own = self._variates.change(update, base, times(update))
            if common is not None:
                own -= common
            if (before := self._variates.of(update.node)) is not None:
                own += before
            fresh.append((update.node, own, update.examples))
            del update
        self._variates.put(fresh)

    def state(self) -> State:
        """Return the nodes' vectors."""
        return self._variates.state()

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        self._variates.restore(state)


class Scaffold(_ControlVariates):
    """Stochastic controlled averaging.

    Karimireddy et al., SCAFFOLD: Stochastic Controlled Averaging for Federated Learning
    (2020), algorithm 1, option II; arXiv:1910.06378. The drift of node i is c - c_i. With
    equal examples this is the paper's rule; otherwise both means, that of the changes and
    c, are weighted by examples, so that the fixed points are FedAvg's objective's. Where
    trainers use momentum, a change is divided by what it is worth in plain steps.

    Args:
        server_lr: Step along the mean change, eta_g.
        clients: Number of nodes in all, N; 0: those that have taken part.

    Raises:
        ConfigError: A value is out of its range.
    """

    def __init__(self, *, server_lr: float, clients: int, personal: Sequence[str]) -> None:
        super().__init__(clients=clients, personal=personal)
        check_option("server_lr", server_lr, server_lr > 0, "above 0")
        self._rate = server_lr

    def broadcast_to(self, round: int, node: str) -> Broadcast:  # noqa: ARG002 - c is of the last one
        """Tell a node its drift, once any is known."""
        return _drift(self._variates.mean(), self._variates.of(node))

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the parameters after the server's step; without updates, as they are.

        Raises:
            DataError: An update does not report its steps or its learning rate.
        """
        self._take(parameters, updates, _per_step, self._variates.mean())
        weight = self._sums.weight
        return self._sums.mean(weight / self._rate) if weight else parameters


class FedDyn(_ControlVariates):
    """Federated learning with dynamic regularisation.

    Acar et al., Federated Learning Based on Dynamic Regularization (2021), algorithm 1;
    arXiv:2111.04263. A node minimises its loss minus <h_i, w> plus alpha/2 |w - global|^2,
    so its drift is -h_i and ``proximal_mu`` is alpha. With equal examples this is the
    paper's rule; otherwise its means are weighted by examples.

    Args:
        alpha: Weight of the regularisation.
        clients: Number of nodes in all, m; 0: those that have taken part.

    Raises:
        ConfigError: A value is out of its range.
    """

    def __init__(self, *, alpha: float, clients: int, personal: Sequence[str]) -> None:
        super().__init__(clients=clients, personal=personal)
        check_option("alpha", alpha, alpha > 0, "above 0")
        self._alpha = alpha

    def broadcast(self, round: int) -> Broadcast:
        """Announce alpha as ``proximal_mu``."""
        return replace(super().broadcast(round), scalars={"proximal_mu": self._alpha})

    def broadcast_to(self, round: int, node: str) -> Broadcast:  # noqa: ARG002 - the same until it trains
        """Tell a node its drift, once it has taken part."""
        return _drift(None, self._variates.of(node))

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the mean of the updates less h / alpha; without updates, ``parameters``."""
        self._take(parameters, updates, lambda _: -self._alpha)
        mean = self._variates.mean()
        if not self._sums.weight or mean is None:
            return parameters
        result = self._sums.mean()
        result.vectors[DTYPE][: mean.size] -= mean / np.float32(self._alpha)
        return result


def _per_step(update: Update) -> float:
    """Return what makes an update's change the mean gradient of its steps."""
    return -1.0 / (reach(update, "scaffold") * reported(update, "lr", "scaffold"))


def _drift(common: Array | None, own: Array | None) -> Broadcast:
    """Return what a node is told: ``common - own``, what is not known being zero."""
    if own is None:
        return Broadcast() if common is None else Broadcast(vectors={"drift": common})
    return Broadcast(vectors={"drift": -own if common is None else common - own})
