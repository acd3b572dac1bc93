"""Which trainings the compiled kernels can do, and in what numbers they want them told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from aeros_core.schema import Field
from aeros_torch.config import Activation
from aeros_torch.losses import Loss
from aeros_torch.models import ACTIVATIONS, Mlp, Softmax
from aeros_torch.network import Network
from aeros_torch.recipe import Recipe

__all__ = ["LOSSES", "Stack", "stack"]

LOSSES = ("cross_entropy", "mse")
"""Names of the losses that kernels have, in the order of their numbers there."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack of dense layers, and how it is trained.

    Args:
        widths: Inputs, width of each hidden layer, outputs.
        activation: Between two layers.
        loss: A name of `LOSSES`.
        sgd: Momentum, weight_decay, nesterov and dampening where they are set.
    """

    widths: tuple[int, ...]
    activation: Activation
    loss: str
    sgd: Mapping[str, Any]


def stack(network: Network, recipe: Recipe, loss: Loss, target: Field) -> Stack | str:
    """Return the stack that this network is, or why kernels cannot train it."""
    layers = _layers(network.module)
    activations = [layer for layer in layers if not isinstance(layer, nn.Linear)]
    if not layers or any(type(layer) not in ACTIVATIONS.values() for layer in activations):
        return "the model is not a softmax, nor an mlp without dropout"
    if network.device.type != "cpu":
        return f"the device is {network.device}"
    if recipe.clip_norm is not None:
        return "trainer.clip_norm is set"
    if (sgd := recipe.optimizer.sgd) is None:
        return f"the optimizer is {recipe.optimizer.name} with options of its own"
    name = loss.plain(target)
    if name not in LOSSES or (name == "mse") is (target.categories is not None):
        return f"the loss is not {' or '.join(LOSSES)} as it is"
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    widths = (linear[0].in_features, *(layer.out_features for layer in linear))
    kind = type(activations[0]) if activations else nn.ReLU
    activation = next(name for name, cls in ACTIVATIONS.items() if cls is kind)
    return Stack(widths, activation, name, sgd)


def _layers(module: nn.Module) -> list[nn.Module]:
    if type(module) is Softmax:
        return [module.linear]
    return list(module.layers) if type(module) is Mlp else []
