"""The engine that trains one client after the other, on any ``nn.Module``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from aeros_core.data import Dataset
from aeros_core.messages import Instruction, Metrics, Update
from aeros_core.parameters import Parameters
from aeros_torch.modules.device import reproducible
from aeros_torch.modules.precision import computing
from aeros_torch.training.context import TrainingContext
from aeros_torch.training.evaluation import evaluate
from aeros_torch.training.flat_optimizers import FlatGradient

__all__ = ["SequentialEngine"]


class SequentialEngine:
    """Trains one module, in place on its flat weights; no DataLoader, no copies.

    Args:
        context: Module, data and what to do.
    """

    def __init__(self, context: TrainingContext):
        self._shop, self._recipe, self._network = context, context.recipe, context.network

    def train(
        self, instructions: Sequence[Instruction], data: Sequence[Dataset], rates: Sequence[float]
    ) -> Iterator[Update]:
        """Yield the update of each instruction; the next is not begun before it is asked for.

        Raises:
            ConfigError: The parameters are of another model.
        """
        yield from map(self._train, instructions, data, rates)

    def _train(self, instruction: Instruction, data: Dataset, lr: float) -> Update:
        network, recipe = self._network, self._recipe
        calm = reproducible(network.device, instruction.seed, recipe.threads)
        pace = self._shop.pace.client(instruction.node, len(data))
        with pace, calm, torch.enable_grad():
            network.load(instruction.parameters)
            network.module.train()
            loss, steps = self._descend(instruction, data, lr)
            return Update(
                node=instruction.node,
                round=instruction.round,
                parameters=network.read(),
                examples=len(data),
                metrics={"loss": loss},
                scalars=recipe.account(steps, lr, recipe.mu(instruction), len(network.weights)),
            )

    def _descend(self, instruction: Instruction, data: Dataset, lr: float) -> tuple[float, int]:
        """Take every step; return the mean loss of the examples on the way, and the steps."""
        recipe, network = self._recipe, self._network
        drift = network.taken("drift", instruction.vectors)
        slope = FlatGradient(network, recipe.mu(instruction), recipe.clip_norm, drift)
        descend = recipe.optimizer.start(network, slope, lr)
        total, seen, steps = torch.zeros((), device=network.device), 0, 0
        batches = self._shop.feed.shuffled(
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
            steps += 1
        return total.item() / seen, steps

    def _gradients(self, examples: Tensor, targets: Tensor) -> _Graded:
        parameters = self._network.parameters
        with computing(self._network.device, self._recipe.precision):
            loss = self._shop.criterion(self._network.module(examples), targets)
        grads = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        return loss.detach(), grads

    def evaluate(self, parameters: Parameters, data: Dataset) -> Metrics:
        """Return the metrics that `evaluation.evaluate` returns.

        Raises:
            ConfigError: The parameters are of another model.
        """
        context, network = self._shop, self._network
        network.load(parameters)
        threads = context.eval_threads or torch.get_num_threads()
        with reproducible(network.device, 0, 1):
            return evaluate(
                network.module,
                context.feed,
                context.criterion,
                data,
                batch_size=context.eval_batch_size,
                workers=1 if network.device.type == "cuda" else threads,
            )


_Graded = tuple[Tensor, Sequence[Tensor]]
