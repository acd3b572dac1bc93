"""The steps of many clients over their stacked weights."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from aeros_torch.engines.vectorised.cuda_graphs import CudaGraphs
from aeros_torch.engines.vectorised.optimizers import Momentum, VectorisedOptimizer
from aeros_torch.engines.vectorised.stacked_module import StackedModule

__all__ = ["VectorisedStep"]


class VectorisedStep:
    """Takes one step of the first so many clients at a time, in place.

    What a step reads and writes stays where it is from one pack of clients to the next, so
    that a CUDA graph serves all rounds.

    Args:
        stacking: Differentiates.
        rule: Takes the steps.
        clients: How many there are.
        start: Parameters to start from, the trainable ones first (length,).
        size: Number of trainable parameters.
        lr: Learning rate.
        mu: Weight of the pull to ``start`` (`flat_optimizers.FlatGradient`).
        clip_norm: Largest L2 norm of each client's gradient; None: as long as it is.
        drifts: Whether there are vectors that are added to every gradient.
    """

    def __init__(
        self,
        stacking: StackedModule,
        rule: VectorisedOptimizer,
        clients: int,
        start: Tensor,
        size: int,
        *,
        lr: float,
        mu: float,
        clip_norm: float | None,
        drifts: bool,
    ):
        self._stacking, self._rule = stacking, rule
        self._lr, self._mu, self._limit = lr, mu, clip_norm
        self.vectors = start.new_empty((clients, len(start)))
        self._weights = self.vectors[:, :size]
        self._anchor = start.new_empty(size) if mu else None
        self._drifts = start.new_empty((clients, size)) if drifts else None
        adds_nothing = not mu and clip_norm is None and not drifts
        self._plain = adds_nothing and isinstance(rule, Momentum) and rule.plain
        self.losses = start.new_zeros(clients)
        self._state = rule.state(self._weights)
        self._leaves: dict[int, list[Tensor]] = {}
        self._graphs = CudaGraphs(self._step, start.device) if start.is_cuda else None
        self._fresh = True

    vectors: Tensor
    """Parameters of each client (clients, length)."""

    losses: Tensor
    """Sum of the losses of all examples of each client, as they were trained on (clients,)."""

    def begin(self, start: Tensor, drifts: Sequence[Tensor]) -> None:
        """Start afresh.

        Args:
            start: Parameters to start from (length,).
            drifts: The vector of each client that is added to its gradients, if any are.
        """
        self.vectors.copy_(start.expand_as(self.vectors))
        if self._anchor is not None:
            self._anchor.copy_(self._weights[0])
        if self._drifts is not None:
            torch.stack(list(drifts), out=self._drifts)
        for tensor in (self.losses, *self._state):
            tensor.zero_()
        self._fresh = True

    def stream(self) -> AbstractContextManager[None]:
        """Return the context in which steps are taken."""
        return nullcontext() if self._graphs is None else self._graphs.stream()

    def take(
        self, examples: Tensor, targets: Tensor, counts: Tensor, shares: Tensor | None
    ) -> None:
        """Take a step of the first clients.

        Args:
            examples: A batch of each (clients, batch, ...).
            targets: Their targets (clients, batch, ...).
            counts: Examples in each batch (clients,).
            shares: As `StackedModule.gradients` takes them.
        """
        given = (
            (examples, targets, counts) if shares is None else (examples, targets, counts, shares)
        )
        # The first step of a round may differ from those that a graph holds (dampening).
        take = self._step if self._fresh or self._graphs is None else self._graphs
        take(*given)
        self._fresh = False

    def _step(
        self, examples: Tensor, targets: Tensor, counts: Tensor, shares: Tensor | None = None
    ) -> None:
        leaves = self._first(len(examples))
        losses, gradients = self._stacking.gradients(leaves, examples, targets, shares)
        self.losses[: len(examples)].addcmul_(losses.float(), counts)
        if self._plain:
            torch._foreach_add_(
                [leaf.detach() for leaf in leaves], list(gradients), alpha=-self._lr
            )
            return
        weights = self._weights[: len(examples)]
        slope = self._collect(weights, gradients)
        self._rule.step(weights, slope, self._state, self._lr, self._fresh)

    def _first(self, clients: int) -> list[Tensor]:
        if clients not in self._leaves:
            self._leaves = {clients: self._stacking.leaves(self._weights[:clients])}
        return self._leaves[clients]

    def _collect(self, weights: Tensor, gradients: Sequence[Tensor]) -> Tensor:
        """Return the gradient of each client as one row, with what the round adds to it."""
        flat = torch.cat([part.reshape(len(weights), -1) for part in gradients], dim=1)
        if self._anchor is not None:
            flat.add_(weights - self._anchor, alpha=self._mu)
        if self._drifts is not None:
            flat.add_(self._drifts[: len(weights)])
        if self._limit is not None:
            norm = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
            flat.mul_(torch.clamp(self._limit / (norm + 1e-6), max=1.0))
        return flat
