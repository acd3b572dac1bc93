"""The engine that trains one client after the other, on any ``nn.Module``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aeros_core.data import Dataset
from aeros_core.messages import Instruction, Update
from aeros_torch.batches import Feed
from aeros_torch.descent import Slope
from aeros_torch.losses import LossFunction
from aeros_torch.network import Network
from aeros_torch.optimizers import Optimizer
from aeros_torch.runtime import reproducible

__all__ = ["Recipe", "Sequential"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one round of local training is, whichever engine does it.

    Args:
        optimizer: Takes the steps.
        epochs: Passes over the data.
        steps: Batches in all, instead of ``epochs``.
        batch_size: Examples in a batch.
        proximal_mu: Weight of the proximal term, unless the instruction announces one.
        clip_norm: Largest L2 norm of a batch's gradient; None: as long as it is.
        threads: Threads within one operator.
    """

    optimizer: Optimizer
    epochs: int
    steps: int | None
    batch_size: int
    proximal_mu: float
    clip_norm: float | None
    threads: int


class Sequential:
    """Trains one module, in place on its flat weights; no DataLoader, no copies.

    Args:
        recipe: What to do.
        network: The module; it belongs to the engine from here on.
        feed: Makes batches of a node's data.
        loss: What to lessen.
    """

    def __init__(self, recipe: Recipe, network: Network, feed: Feed, loss: LossFunction):
        self._recipe, self._network, self._feed, self._loss = recipe, network, feed, loss

    def train(self, instruction: Instruction, data: Dataset, lr: float) -> Update:
        """Return what training at this rate makes of the instruction's parameters.

        Raises:
            ConfigError: The parameters are of another model.
            DataError: There are too few examples for this model.
        """
        network, recipe = self._network, self._recipe
        with reproducible(network.device, instruction.seed, recipe.threads), torch.enable_grad():
            network.load(instruction.parameters)
            network.module.train()
            loss = self._descend(instruction, data, lr)
            return Update(
                node=instruction.node,
                round=instruction.round,
                parameters=network.read(),
                examples=len(data),
                metrics={"loss": loss},
            )

    def _descend(self, instruction: Instruction, data: Dataset, lr: float) -> float:
        """Take every step of the round; return the mean loss of its examples on the way."""
        recipe, network = self._recipe, self._network
        mu = instruction.scalars.get("proximal_mu", recipe.proximal_mu)
        slope = Slope(network, mu, recipe.clip_norm)
        descend = recipe.optimizer.start(network, slope, lr)
        total, seen = torch.zeros((), device=network.device), 0
        batches = self._feed.shuffled(
            data,
            size=recipe.batch_size,
            seed=instruction.seed,
            epochs=recipe.epochs,
            steps=recipe.steps,
        )
        for examples, targets in batches:

            def gradients(x: Tensor = examples, y: Tensor = targets) -> _Graded:
                return self._gradients(x, y)

            total.add_(descend(gradients), alpha=len(examples))
            seen += len(examples)
        return total.item() / seen

    def _gradients(self, examples: Tensor, targets: Tensor) -> _Graded:
        loss = self._loss(self._network.module(examples), targets)
        parameters = self._network.parameters
        grads = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        return loss.detach(), grads


_Graded = tuple[Tensor, Sequence[Tensor]]
