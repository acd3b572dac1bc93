"""Which trainings the compiled kernels can do, and in what numbers they want them told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from aeros_torch.config import Activation, Padding, Precision
from aeros_torch.modules.models import ACTIVATIONS, Cnn, Lstm, Mlp, Softmax
from aeros_torch.training.context import TrainingContext

__all__ = ["LOSSES", "Convolutions", "DenseArchitecture", "Recurrence", "recognise"]

LOSSES = ("cross_entropy", "mse")
"""Names of the losses that kernels have, in the order of their numbers there."""


@dataclass(frozen=True, slots=True)
class Convolutions:
    """What goes before the dense layers of a cnn.

    Args:
        image: Channels, height and width of an example.
        channels: Made by each convolution, in order; each is pooled 2 by 2.
        side: Pixels in a row of a kernel.
        same: Whether a border of zeros keeps the size of an image.
    """

    image: tuple[int, int, int]
    channels: tuple[int, ...]
    side: int
    same: bool


@dataclass(frozen=True, slots=True)
class Recurrence:
    """What goes before the dense layer of an lstm.

    Args:
        categories: Number of codes; None where numbers come in.
        inputs: Numbers in a step, embedded or as they come.
        hidden: Width of each layer.
        layers: Number of layers.
        steps: In a sequence.
    """

    categories: int | None
    inputs: int
    hidden: int
    layers: int
    steps: int


@dataclass(frozen=True, slots=True)
class DenseArchitecture:
    """A stack of dense layers, what goes before them, and how all is trained.

    Args:
        trunk: What goes before the dense layers; None: nothing.
        widths: Inputs, width of each hidden layer, outputs.
        activation: Between two layers.
        loss: A name of `LOSSES`.
        sgd: Momentum, weight_decay, nesterov and dampening where they are set.
    """

    trunk: Convolutions | Recurrence | None
    widths: tuple[int, ...]
    activation: Activation
    loss: str
    sgd: Mapping[str, Any]


def recognise(context: TrainingContext) -> DenseArchitecture | str:
    """Return the stack that a workshop's network is, or why kernels cannot train it."""
    network, recipe = context.network, context.recipe
    layers = _layers(network.module)
    activations = [layer for layer in layers if type(layer) in ACTIVATIONS.values()]
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    if not layers or len(activations) + len(linear) < len(layers):
        return "the model is not a softmax, mlp, cnn or lstm without dropout"
    if network.device.type != "cpu":
        return f"the device is {network.device}"
    if recipe.precision is not Precision.float32:
        return f"trainer.precision is {recipe.precision.name}"
    if recipe.clip_norm is not None:
        return "trainer.clip_norm is set"
    if (sgd := recipe.optimizer.sgd) is None:
        return f"the optimizer is {recipe.optimizer.name} with options of its own"
    name = context.loss.plain(context.target)
    if name not in LOSSES or (name == "mse") is (context.target.categories is not None):
        return f"the loss is not {' or '.join(LOSSES)} as it is"
    widths = (linear[0].in_features, *(layer.out_features for layer in linear))
    trunk = _trunk(network.module, context.schema.features[0].shape)
    return DenseArchitecture(trunk, widths, _activation(network.module), name, sgd)


def _layers(module: nn.Module) -> list[nn.Module]:
    """Return the dense layers of a model with activations between them; none if unknown."""
    if type(module) is Softmax:
        return [module.linear]
    if type(module) is Mlp:
        return list(module.layers)
    if type(module) is Cnn and len(module.convolutions):
        return list(module.dense)
    if type(module) is Lstm and not module.dropout.p:
        return [module.linear]
    return []


def _activation(module: nn.Module) -> Activation:
    """Return the one activation of a model; relu where it has none."""
    kinds = {cls: name for name, cls in ACTIVATIONS.items()}
    found = (kinds[type(part)] for part in module.modules() if type(part) in kinds)
    return next(found, Activation.relu)


def _trunk(module: nn.Module, shape: tuple[int | None, ...]) -> Convolutions | Recurrence | None:
    if type(module) is Cnn:
        layers = [part for part in module.convolutions if isinstance(part, nn.Conv2d)]
        depth, height, width = (1, *shape)[-3:]
        channels = tuple(layer.out_channels for layer in layers)
        side, same = layers[0].kernel_size[0], layers[0].padding == Padding.same.value
        return Convolutions((depth or 0, height or 0, width or 0), channels, side, same)
    if type(module) is Lstm:
        codes = getattr(module.embedding, "num_embeddings", None)
        lstm = module.lstm
        sizes = (lstm.input_size, lstm.hidden_size, lstm.num_layers)
        return Recurrence(codes, *sizes, shape[0] or 0)
    return None
