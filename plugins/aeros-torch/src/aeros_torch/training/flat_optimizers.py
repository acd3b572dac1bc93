"""One round's steps over a network's flat weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from aeros_torch.modules.flat_module import FlatModule

__all__ = ["Batched", "FlatGradient", "FlatOptimizer", "PlainSgd", "Sgd", "TorchOptimizer"]

Batched: TypeAlias = Callable[[], tuple[Tensor, Sequence[Tensor]]]
"""Computes a batch's loss, and the gradient of each trainable parameter."""


class FlatOptimizer(Protocol):
    """One round's steps of an optimizer over a network's weights."""

    def __call__(self, batch: Batched) -> Tensor:
        """Take one step and return the loss before it."""


class FlatGradient:
    """The gradient of a batch as one flat vector, with what a round adds to it.

    Args:
        network: Whose weights it is of.
        proximal_mu: Weight of the pull to where the round started (FedProx, Li et al.
            2020, equation 2).
        clip_norm: Largest L2 norm, after that pull; None: as long as it is.
        drift: Added to every gradient before it is clipped (size,); None: nothing.
    """

    def __init__(
        self,
        network: FlatModule,
        proximal_mu: float,
        clip_norm: float | None,
        drift: Tensor | None = None,
    ):
        self.vector = torch.empty_like(network.weights)
        self._weights = network.weights
        self._anchor = network.weights.clone() if proximal_mu else None
        self._mu = proximal_mu
        self._limit = clip_norm
        self._drift = drift

    def collect(self, gradients: Sequence[Tensor]) -> Tensor:
        """Fill the vector with the gradients of a batch, and return it."""
        torch.cat([gradient.reshape(-1) for gradient in gradients], out=self.vector)
        if self._anchor is not None:
            self.vector.add_(self._weights - self._anchor, alpha=self._mu)
        if self._drift is not None:
            self.vector.add_(self._drift)
        if self._limit is not None:
            norm = torch.linalg.vector_norm(self.vector)
            self.vector.mul_(torch.clamp(self._limit / (norm + 1e-6), max=1.0))
        return self.vector

    @property
    def plain(self) -> bool:
        """Whether the round adds nothing to the gradient."""
        return self._anchor is None and self._limit is None and self._drift is None


class PlainSgd:
    """SGD and nothing else: the gradients go straight into the weights."""

    def __init__(self, network: FlatModule, lr: float):
        self._weights = [parameter.detach() for parameter in network.parameters]
        self._lr = lr

    def __call__(self, batch: Batched) -> Tensor:
        """Take one step and return the loss before it."""
        loss, gradients = batch()
        for weight, gradient in zip(self._weights, gradients, strict=True):
            weight.add_(gradient, alpha=-self._lr)
        return loss


class Sgd:
    """What ``torch.optim.SGD`` does, in place on flat vectors."""

    options = frozenset({"momentum", "weight_decay", "nesterov", "dampening"})

    def __init__(
        self,
        network: FlatModule,
        slope: FlatGradient,
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
    ):
        self._weights, self._slope, self._lr = network.weights, slope, lr
        self._momentum, self._decay = momentum, weight_decay
        self._dampening, self._nesterov = dampening, nesterov
        self._velocity: Tensor | None = None

    def __call__(self, batch: Batched) -> Tensor:
        """Take one step and return the loss before it."""
        loss, gradients = batch()
        step = self._slope.collect(gradients)
        if self._decay:
            step.add_(self._weights, alpha=self._decay)
        if self._momentum:
            step = self._with_momentum(step)
        self._weights.add_(step, alpha=-self._lr)
        return loss

    def _with_momentum(self, step: Tensor) -> Tensor:
        if self._velocity is None:
            self._velocity = step.clone()
        else:
            self._velocity.mul_(self._momentum).add_(step, alpha=1 - self._dampening)
        return step.add_(self._velocity, alpha=self._momentum) if self._nesterov else self._velocity


class TorchOptimizer:
    """torch's own optimizers, one after the other, over the same gradient."""

    def __init__(self, slope: FlatGradient, optimizers: Sequence[torch.optim.Optimizer]):
        self._slope = slope
        self._first, *self._others = optimizers

    def __call__(self, batch: Batched) -> Tensor:
        """Take one step of each and return the loss before it."""

        def gradient() -> Tensor:
            loss, gradients = batch()
            self._slope.collect(gradients)
            return loss

        loss: Tensor = self._first.step(gradient)  # type: ignore[arg-type, assignment]
        for optimizer in self._others:
            optimizer.step()
        return loss
