"""Optimizers over stacked weights (clients, size): one step of every client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from aeros_torch.descent import Sgd
from aeros_torch.optimizers import Optimizer

__all__ = ["Adam", "Momentum", "Rule", "rule"]


class Rule(Protocol):
    """What an optimizer does to weights, given their gradient."""

    states: int
    """Vectors as long as the weights that it keeps for each client."""

    def begin(self, weights: Tensor) -> None:
        """Start afresh for these weights (clients, size)."""

    def step(self, weights: Tensor, gradient: Tensor, lr: float) -> None:
        """Take a step of the first clients, in place.

        Every client is taken along from the first step to its last, so what depends on
        the number of the step is the same for all.

        Args:
            weights: Of the clients that take it (clients, size).
            gradient: Theirs; may be changed.
            lr: Learning rate.
        """


class Momentum:
    """What ``torch.optim.SGD`` does.

    Args:
        options: Of `descent.Sgd`.
    """

    def __init__(self, options: Mapping[str, Any]):
        self._momentum = float(options.get("momentum", 0.0))
        self._decay = float(options.get("weight_decay", 0.0))
        self._kept = 1.0 - float(options.get("dampening", 0.0))
        self._nesterov = bool(options.get("nesterov", False))
        self.states = 1 if self._momentum else 0
        self.plain = not (self._momentum or self._decay)
        self._first = True
        self._velocity: Tensor | None = None

    def begin(self, weights: Tensor) -> None:
        """Start afresh for these weights (clients, size)."""
        self._first = True
        self._velocity = torch.zeros_like(weights) if self._momentum else None

    def step(self, weights: Tensor, gradient: Tensor, lr: float) -> None:
        """Take a step of the first clients, in place."""
        if self._decay:
            gradient.add_(weights, alpha=self._decay)
        step = gradient
        if self._velocity is not None:
            velocity = self._velocity[: len(weights)]
            kept = 1.0 if self._first else self._kept
            velocity.mul_(self._momentum).add_(gradient, alpha=kept)
            step = gradient.add_(velocity, alpha=self._momentum) if self._nesterov else velocity
        self._first = False
        weights.add_(step, alpha=-lr)


class Adam:
    """What ``torch.optim.Adam`` and ``AdamW`` do (Kingma and Ba 2015, algorithm 1).

    Args:
        options: ``betas``, ``eps``, ``weight_decay``, where they are set.
        decoupled: Whether weight decay is AdamW's.
    """

    options = frozenset({"betas", "eps", "weight_decay"})
    states = 2

    def __init__(self, options: Mapping[str, Any], *, decoupled: bool):
        self._first_beta, self._second_beta = options.get("betas", (0.9, 0.999))
        self._eps = float(options.get("eps", 1e-8))
        self._decay = float(options.get("weight_decay", 0.01 if decoupled else 0.0))
        self._decoupled = decoupled

    def begin(self, weights: Tensor) -> None:
        """Start afresh for these weights (clients, size)."""
        self._mean, self._square = torch.zeros_like(weights), torch.zeros_like(weights)
        # Tensors, so that a captured graph goes on with them.
        self._powers = torch.ones(2, dtype=torch.float64, device=weights.device)
        betas = [self._first_beta, self._second_beta]
        self._betas = torch.tensor(betas, dtype=torch.float64, device=weights.device)

    def step(self, weights: Tensor, gradient: Tensor, lr: float) -> None:
        """Take a step of the first clients, in place."""
        if self._decoupled:
            weights.mul_(1.0 - lr * self._decay)
        elif self._decay:
            gradient.add_(weights, alpha=self._decay)
        mean, square = self._mean[: len(weights)], self._square[: len(weights)]
        mean.lerp_(gradient, 1.0 - self._first_beta)
        square.mul_(self._second_beta).addcmul_(gradient, gradient, value=1.0 - self._second_beta)
        self._powers.mul_(self._betas)
        rest = 1.0 - self._powers
        root = torch.sqrt(square, out=gradient).div_(rest[1].sqrt()).add_(self._eps)
        weights.sub_(torch.div(mean, root, out=gradient).mul_(lr / rest[0]))


def rule(optimizer: Optimizer) -> Rule | str:
    """Return an optimizer's rule for stacked weights, or why there is none."""
    if (sgd := optimizer.sgd) is not None:
        return Momentum({name: v for name, v in sgd.items() if name in Sgd.options})
    if optimizer.name in ("Adam", "AdamW") and set(optimizer.options) <= Adam.options:
        return Adam(optimizer.options, decoupled=optimizer.name == "AdamW")
    return f"the optimizer is {optimizer.name} with options of its own"
