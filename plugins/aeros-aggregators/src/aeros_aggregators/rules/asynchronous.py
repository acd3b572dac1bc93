"""Rules for updates that come one by one, from nodes that started at different times.

``buffer`` is how many of them make a step of the server; a collector that has it makes
the rounds asynchronous. Each update says in ``scalars["staleness"]`` how many steps the
server took since the node started; without it, none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from aeros_aggregators.config import Staleness
from aeros_aggregators.options import check_option
from aeros_aggregators.personal import Personal
from aeros_aggregators.reduction.weighted_sum import WeightedSum
from aeros_core.messages import Broadcast, Update
from aeros_core.parameters import Parameters

__all__ = ["FedAsync", "FedBuff"]


class FedBuff(Personal):
    """Buffered asynchronous aggregation.

    Nguyen et al., Federated Learning with Buffered Asynchronous Aggregation (2022),
    algorithm 1, changes weighted by 1 / sqrt(1 + staleness) as in its experiments;
    arXiv:2106.06639. Numbers of examples do not count; the sum is divided by the number
    of changes, not of their weights.

    Args:
        buffer: Updates that make a step, K.
        max_staleness: Staleness above which the core refuses an update.
        server_lr: Step along the mean change, eta_g.

    Raises:
        ConfigError: A value is out of its range.
    """

    def __init__(
        self, *, buffer: int, max_staleness: int, server_lr: float, personal: Sequence[str]
    ) -> None:
        super().__init__(personal=personal)
        check_option("buffer", buffer, buffer >= 1, "1 or more")
        check_option("max_staleness", max_staleness, max_staleness >= 0, "0 or more")
        check_option("server_lr", server_lr, server_lr > 0, "above 0")
        self.buffer, self.max_staleness = buffer, max_staleness
        self._rate = server_lr
        self._sums = WeightedSum()

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the parameters after the step; without any update, ``parameters``."""
        count = _take(self._sums, parameters, updates, lambda age: 1.0 / math.sqrt(1.0 + age))
        return self._sums.mean(count / self._rate) if count else parameters


class FedAsync(Personal):
    """Asynchronous federated optimization: every update is mixed in as it comes.

    Xie et al., Asynchronous Federated Optimization (2019), algorithm 1 with the functions
    of section 5.2; arXiv:1903.03934: nodes send whole parameters w, and the new ones are
    (1 - alpha_t) x + alpha_t w, where alpha_t = alpha s(t - tau). Of several updates at
    once, the mean of what each would do is done.

    Args:
        alpha: Part of a fresh update that is taken.
        staleness: How that part falls with an update's staleness.
        a: Exponent of ``polynomial``, slope of ``hinge``.
        b: Staleness up to which ``hinge`` is flat.
        mu: Weight of the trainers' pull to what they started from, rho; announced as
            ``proximal_mu``.

    Raises:
        ConfigError: A value is out of its range.
    """

    def __init__(
        self,
        *,
        alpha: float,
        staleness: Staleness | str,
        a: float,
        b: float,
        mu: float,
        personal: Sequence[str],
    ) -> None:
        super().__init__(personal=personal)
        check_option("alpha", alpha, 0 < alpha <= 1, "above 0, up to 1")
        check_option("a", a, a >= 0, "0 or more")
        check_option("b", b, b >= 0, "0 or more")
        check_option("mu", mu, mu >= 0, "0 or more")
        self.buffer, self.whole = 1, True
        self._alpha, self._mu = alpha, mu
        self._fades = _functions(a, b)[Staleness[getattr(staleness, "name", str(staleness))]]
        self._sums = WeightedSum()

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the parameters with the update mixed in; without any, ``parameters``."""
        count = _take(self._sums, parameters, updates, lambda age: self._alpha * self._fades(age))
        return self._sums.mean(float(count)) if count else parameters

    def broadcast(self, round: int) -> Broadcast:
        """Announce ``proximal_mu``, if there is to be any."""
        told = {"proximal_mu": self._mu} if self._mu else {}
        return replace(super().broadcast(round), scalars=told)


def _functions(a: float, b: float) -> Mapping[Staleness, Callable[[float], float]]:
    """Return what is left of alpha at each staleness."""
    return {
        Staleness.constant: lambda age: 1.0 + 0.0 * age,
        Staleness.polynomial: lambda age: math.pow(1.0 + age, -a),
        Staleness.hinge: lambda age: 1.0 if age <= b else 1.0 / (a * (age - b) + 1.0),
    }


def _take(
    sums: WeightedSum,
    parameters: Parameters,
    updates: Iterable[Update],
    weight: Callable[[float], float],
) -> int:
    """Add up the updates, each weighted by its staleness; return how many there are."""
    sums.begin(parameters)
    count = 0
    for update in updates:
        sums.add(update, weight(update.scalars.get("staleness", 0.0)))
        count += 1
        del update
    return count
