"""Optimizers over stacked weights (clients, size): one step of every client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from aeros_torch.training.flat_optimizers import Sgd
from aeros_torch.training.optimizers import Optimizer

__all__ = ["Adam", "Momentum", "VectorisedOptimizer", "rule"]


class VectorisedOptimizer(Protocol):
    """What an optimizer does to weights, given their gradient; it keeps nothing itself."""

    vectors: int
    """Vectors as long as the weights that it needs for each client."""

    def state(self, weights: Tensor) -> list[Tensor]:
        """Return what it needs to remember for these weights (clients, size), all zero."""

    def step(
        self, weights: Tensor, gradient: Tensor, state: list[Tensor], lr: float, first: bool
    ) -> None:
        """Take a step of the first clients, in place.

        Every client is taken along from the first step to its last, so what depends on
        the number of the step is the same for all.

        Args:
            weights: Of the clients that take it (clients, size).
            gradient: Theirs; may be changed.
            state: What `state` returned, for these clients or more.
            lr: Learning rate.
            first: Whether it is the first step.
        """


class Momentum:
    """What ``torch.optim.SGD`` does.

    Args:
        options: Of `flat_optimizers.Sgd`.
    """

    def __init__(self, options: Mapping[str, Any]):
        self._momentum = float(options.get("momentum", 0.0))
        self._decay = float(options.get("weight_decay", 0.0))
        self._kept = 1.0 - float(options.get("dampening", 0.0))
        self._nesterov = bool(options.get("nesterov", False))
        self.vectors = 1 if self._momentum else 0
        self.plain = not (self._momentum or self._decay)

    def state(self, weights: Tensor) -> list[Tensor]:
        """Return the velocity, if there is momentum."""
        return [torch.zeros_like(weights)] if self._momentum else []

    def step(
        self, weights: Tensor, gradient: Tensor, state: list[Tensor], lr: float, first: bool
    ) -> None:
        """Take a step of the first clients, in place."""
        if self._decay:
            gradient.add_(weights, alpha=self._decay)
        step = gradient
        if self._momentum:
            velocity = state[0][: len(weights)]
            velocity.mul_(self._momentum).add_(gradient, alpha=1.0 if first else self._kept)
            step = gradient.add_(velocity, alpha=self._momentum) if self._nesterov else velocity
        weights.add_(step, alpha=-lr)


class Adam:
    """What ``torch.optim.Adam`` and ``AdamW`` do (Kingma and Ba 2015, algorithm 1).

    Args:
        options: ``betas``, ``eps``, ``weight_decay``, where they are set.
        decoupled: Whether weight decay is AdamW's.
    """

    options = frozenset({"betas", "eps", "weight_decay"})
    vectors = 2

    def __init__(self, options: Mapping[str, Any], *, decoupled: bool):
        self._betas = tuple(map(float, options.get("betas", (0.9, 0.999))))
        self._eps = float(options.get("eps", 1e-8))
        self._decay = float(options.get("weight_decay", 0.01 if decoupled else 0.0))
        self._decoupled = decoupled

    def state(self, weights: Tensor) -> list[Tensor]:
        """Return both moments, and one minus the power of each beta."""
        number = torch.zeros((), dtype=torch.float64, device=weights.device)
        return [torch.zeros_like(weights), torch.zeros_like(weights), number, number.clone()]

    def step(
        self,
        weights: Tensor,
        gradient: Tensor,
        state: list[Tensor],
        lr: float,
        first: bool,  # noqa: ARG002  other rules ask
    ) -> None:
        """Take a step of the first clients, in place; numbers are tensors, for CUDA graphs."""
        if self._decoupled:
            weights.mul_(1.0 - lr * self._decay)
        elif self._decay:
            gradient.add_(weights, alpha=self._decay)
        mean, square = state[0][: len(weights)], state[1][: len(weights)]
        one, other = self._betas
        mean.lerp_(gradient, 1.0 - one)
        square.mul_(other).addcmul_(gradient, gradient, value=1.0 - other)
        for gone, beta in zip(state[2:], self._betas, strict=True):
            gone.mul_(beta).add_(1.0 - beta)
        root = torch.sqrt(square, out=gradient).div_(state[3].sqrt()).add_(self._eps)
        weights.sub_(torch.div(mean, root, out=gradient).mul_(lr / state[2]))


def rule(optimizer: Optimizer) -> VectorisedOptimizer | str:
    """Return an optimizer's rule for stacked weights, or why there is none."""
    if (sgd := optimizer.sgd) is not None:
        return Momentum({name: v for name, v in sgd.items() if name in Sgd.options})
    if optimizer.name in ("Adam", "AdamW") and set(optimizer.options) <= Adam.options:
        return Adam(optimizer.options, decoupled=optimizer.name == "AdamW")
    return f"the optimizer is {optimizer.name} with options of its own"
