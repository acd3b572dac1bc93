"""The steps of many clients over their stacked weights."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from aeros_torch.graphs import Graphs
from aeros_torch.rules import Momentum, Rule
from aeros_torch.stacking import Stacking

__all__ = ["Slopes"]


class Slopes:
    """Takes one step of the first so many clients at a time, in place.

    Args:
        stacking: Differentiates.
        rule: Takes the steps; it starts afresh.
        weights: Trainable parameters (clients, size).
        lr: Learning rate.
        mu: Weight of the pull to where the weights are now (`descent.Slope`).
        clip_norm: Largest L2 norm of each client's gradient; None: as long as it is.
        drifts: Added to every gradient (clients, size); None: nothing.
    """

    def __init__(
        self,
        stacking: Stacking,
        rule: Rule,
        weights: Tensor,
        *,
        lr: float,
        mu: float,
        clip_norm: float | None,
        drifts: Tensor | None,
    ):
        self._stacking, self._rule, self._weights = stacking, rule, weights
        self._lr, self._mu, self._limit, self._drifts = lr, mu, clip_norm, drifts
        self._anchor = weights[0].clone() if mu else None
        adds_nothing = not mu and clip_norm is None and drifts is None
        self._plain = adds_nothing and isinstance(rule, Momentum) and rule.plain
        self.losses = torch.zeros(len(weights), device=weights.device)
        self._leaves: dict[int, list[Tensor]] = {}
        self._graphs = Graphs(self._step, weights.device) if weights.is_cuda else None
        rule.begin(weights)

    losses: Tensor
    """Sum of the losses of all examples of each client, as they were trained on (clients,)."""

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
            shares: As `Stacking.gradients` takes them.
        """
        given = (
            (examples, targets, counts) if shares is None else (examples, targets, counts, shares)
        )
        (self._step if self._graphs is None else self._graphs)(*given)

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
        self._rule.step(weights, self._collect(weights, gradients), self._lr)

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
