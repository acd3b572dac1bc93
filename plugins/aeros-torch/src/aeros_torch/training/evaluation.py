"""Metrics of a module over data, batch by batch."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

from aeros_core.data import Dataset
from aeros_core.messages import Metrics
from aeros_torch.modules.losses import LossFunction
from aeros_torch.training.batches import Batches

__all__ = ["evaluate"]


def evaluate(
    module: nn.Module,
    feed: Batches,
    loss: LossFunction,
    data: Dataset,
    *,
    batch_size: int,
    workers: int = 1,
) -> Metrics:
    """Return the mean loss, and what else is measured of such a target.

    Workers take whole batches, so that no operator waits for threads of its own, and the
    figures are added in the order of the data: their bits do not depend on ``workers``.

    Args:
        module: Put into evaluation mode.
        feed: Makes the batches.
        loss: Mean loss of a batch.
        data: At least one example.
        batch_size: Examples that go through the module at once.
        workers: Batches worked on at the same time.

    Returns:
        ``loss`` and ``accuracy`` (0..1) for classes; ``loss``, ``mae`` and ``rmse`` (in the
        target's unit) for numbers.
    """
    module.eval()

    def measured(start: int) -> Tensor:
        with torch.no_grad():
            examples, targets = feed.part(data, start, batch_size)
            return _sums(module(examples), targets, loss, classes=feed.outputs is None)

    starts = range(0, len(data), batch_size)
    with ThreadPoolExecutor(workers) as pool:
        sums = (
            pool.map(measured, starts) if min(workers, len(starts)) > 1 else map(measured, starts)
        )
        total = torch.stack(list(sums)).sum(0)
    return _named(total / len(data), classes=feed.outputs is None)


def _named(means: Tensor, *, classes: bool) -> Metrics:
    lost, first, second = means.tolist()
    if classes:
        return {"loss": lost, "accuracy": first}
    return {"loss": lost, "mae": first, "rmse": math.sqrt(second)}


def _sums(output: Tensor, targets: Tensor, loss: LossFunction, *, classes: bool) -> Tensor:
    """Return a batch's loss and two more figures, summed over its examples, float64."""
    lost = loss(output, targets).double() * len(targets)
    measure = _right if classes else _errors
    return torch.stack([lost, *measure(output, targets)]).cpu()


def _right(output: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    right = (output.argmax(1) == targets).sum().double()
    return right, torch.zeros_like(right)


def _errors(output: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    error = (output - targets).double()
    return error.abs().mean(1).sum(), error.square().mean(1).sum()
