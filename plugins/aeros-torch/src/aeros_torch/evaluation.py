"""Metrics of a module over data, batch by batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from aeros_core.data import Dataset
from aeros_core.messages import Metrics
from aeros_torch.batches import Feed
from aeros_torch.losses import LossFunction

__all__ = ["evaluate"]


def evaluate(
    module: nn.Module, feed: Feed, loss: LossFunction, data: Dataset, batch_size: int
) -> Metrics:
    """Return the mean loss, and what else is measured of such a target.

    Args:
        module: Put into evaluation mode.
        feed: Makes the batches.
        loss: Mean loss of a batch.
        data: At least one example.
        batch_size: Examples that go through the module at once.

    Returns:
        ``loss`` and ``accuracy`` (0..1) for classes; ``loss``, ``mae`` and ``rmse`` (in the
        target's unit) for numbers.
    """
    module.eval()
    measure = _right if feed.outputs is None else _errors
    total = torch.zeros(3, dtype=torch.float64)
    with torch.no_grad():
        for examples, targets in feed.in_order(data, batch_size):
            output = module(examples)
            lost = loss(output, targets).double() * len(examples)
            total += torch.stack([lost, *measure(output, targets)]).cpu()
    lost, first, second = (total / len(data)).tolist()
    if feed.outputs is None:
        return {"loss": lost, "accuracy": first}
    return {"loss": lost, "mae": first, "rmse": math.sqrt(second)}


def _right(output: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    right = (output.argmax(1) == targets).sum().double()
    return right, torch.zeros_like(right)


def _errors(output: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    error = (output - targets).double()
    return error.abs().mean(1).sum(), error.square().mean(1).sum()
