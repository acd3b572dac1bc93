"""The modules of the group ``trainer/model``.

Each takes ``inputs``, the shape of one example, and ``outputs``, the number of classes or
values, and answers (examples, ...) with (examples, outputs). ``expects`` tells from a
field of the data what the module would make of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from aeros_core.errors import ConfigError
from aeros_core.schema import Field
from aeros_torch.config import Activation, Padding

__all__ = ["ACTIVATIONS", "Cnn", "Lstm", "Mlp", "Softmax", "dense"]

ACTIVATIONS = {
    Activation.relu: nn.ReLU,
    Activation.tanh: nn.Tanh,
    Activation.sigmoid: nn.Sigmoid,
    Activation.gelu: nn.GELU,
    Activation.silu: nn.SiLU,
    Activation.elu: nn.ELU,
    Activation.leaky_relu: nn.LeakyReLU,
}
"""The module of each activation."""


class Softmax(nn.Module):
    """One linear layer over the flattened example."""

    def __init__(self, *, inputs: tuple[int, ...], outputs: int):
        super().__init__()
        self.linear = nn.Linear(prod(inputs), outputs)

    @staticmethod
    def expects(field: Field) -> Field:
        """Return float32 of any shape."""
        return _numbers(field, len(field.shape))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, ...) to (n, outputs)."""
        out: Tensor = self.linear(x.flatten(1) if x.ndim > 1 else x.unsqueeze(1))
        return out


class Mlp(nn.Module):
    """Dense layers over the flattened example; options as `config.Mlp`."""

    def __init__(
        self,
        *,
        inputs: tuple[int, ...],
        outputs: int,
        hidden: Sequence[int],
        activation: Activation | str,
        dropout: float,
    ):
        super().__init__()
        self.layers = dense(prod(inputs), hidden, outputs, Activation(activation), dropout)

    @staticmethod
    def expects(field: Field) -> Field:
        """Return float32 of any shape."""
        return _numbers(field, len(field.shape))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, ...) to (n, outputs)."""
        out: Tensor = self.layers(x.flatten(1) if x.ndim > 1 else x.unsqueeze(1))
        return out


class Cnn(nn.Module):
    """Convolutions, each pooled 2 by 2, then dense layers; options as `config.Cnn`."""

    def __init__(
        self,
        *,
        inputs: tuple[int, ...],
        outputs: int,
        channels: Sequence[int],
        kernel: int,
        hidden: Sequence[int],
        padding: Padding | str,
        activation: Activation | str,
        dropout: float,
    ):
        super().__init__()
        _positive(channels=channels, kernel=kernel)
        depth, *size = inputs if len(inputs) == 3 else (1, *inputs)
        border, function = Padding(padding), Activation(activation)
        layers: list[nn.Module] = []
        for before, after in zip([depth, *channels], channels, strict=False):
            size = [_shrunk(length, kernel, border) for length in size]
            layers += [nn.Conv2d(before, after, kernel, padding=border.value)]
            layers += [ACTIVATIONS[function](), nn.MaxPool2d(2, ceil_mode=True)]
        self.convolutions = nn.Sequential(*layers)
        features = ([depth, *channels][-1]) * prod(size)
        self.dense = dense(features, hidden, outputs, function, dropout)

    @staticmethod
    def expects(field: Field) -> Field:
        """Return float32 (height, width), or (channels, height, width)."""
        return _numbers(field, 3 if len(field.shape) == 3 else 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, height, width) or (n, channels, height, width) to (n, outputs)."""
        images = _channels_last(x) if x.device.type == "cpu" else _with_channels(x)
        out: Tensor = self.dense(self.convolutions(images).flatten(1))
        return out


class Lstm(nn.Module):
    """An LSTM whose last step answers; options as `config.Lstm`.

    Args:
        inputs: ``(steps,)`` for codes, ``(steps, features)`` for numbers.
        categories: Number of codes; None for numbers.
    """

    def __init__(
        self,
        *,
        inputs: tuple[int, ...],
        outputs: int,
        categories: int | None,
        embedding: int,
        hidden: int,
        layers: int,
        dropout: float,
    ):
        super().__init__()
        _positive(embedding=embedding, hidden=hidden, layers=layers)
        _share(dropout)
        codes = len(inputs) == 1
        if codes and categories is None:
            raise ConfigError(
                "the lstm reads codes, and their number is not known: the field has no categories",
                hint="load text with a step that names its categories",
            )
        self.embedding = nn.Embedding(categories or 1, embedding) if codes else nn.Identity()
        width = embedding if codes else inputs[1]
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(width, hidden, layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden, outputs)

    @staticmethod
    def expects(field: Field) -> Field:
        """Return int64 (steps,) for codes, else float32 (steps, features)."""
        if field.dtype == "int64":
            return Field(field.name, "int64", (None,))
        return _numbers(field, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, steps) or (n, steps, features) to (n, outputs)."""
        states, _ = self.lstm(self.embedding(x))
        out: Tensor = self.linear(self.dropout(states[:, -1]))
        return out


def _with_channels(x: Tensor) -> Tensor:
    return x.unsqueeze(1) if x.ndim == 3 else x


def _channels_last(x: Tensor) -> Tensor:
    """Return (n, channels, height, width) with the channels of a pixel side by side.

    Max pooling then takes whole vectors of channels: eight times as fast for 16 of them.
    The last stride has to be 1 even for one channel, or convolutions go on as before.
    """
    one = x.ndim == 3 or x.shape[1] == 1
    pixels = x.reshape(len(x), *x.shape[-2:]).unsqueeze(-1) if one else x.permute(0, 2, 3, 1)
    return pixels.contiguous().permute(0, 3, 1, 2)


def _numbers(field: Field, dimensions: int) -> Field:
    return Field(field.name, "float32", (None,) * dimensions)


def dense(
    inputs: int, hidden: Sequence[int], outputs: int, function: Activation, dropout: float
) -> nn.Sequential:
    """Return dense layers with activations between them, and dropout behind those."""
    _positive(hidden=hidden)
    _share(dropout)
    widths = [inputs, *hidden]
    layers: list[nn.Module] = []
    for before, after in zip(widths, hidden, strict=False):
        layers += [nn.Linear(before, after), ACTIVATIONS[function]()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))


def _shrunk(length: int, kernel: int, padding: Padding) -> int:
    """Return the length of a side after a convolution and its pooling."""
    after = length if padding is Padding.same else length - kernel + 1
    if after < 1:
        raise ConfigError(
            f"trainer.model.kernel={kernel} is larger than what is left of the image, {length}",
            exists="smaller kernels, fewer channels, or padding that keeps the size",
            hint="trainer.model.padding=same",
        )
    return (after + 1) // 2


def _positive(**sizes: int | Sequence[int]) -> None:
    for name, size in sizes.items():
        if min([size] if isinstance(size, int) else size, default=1) < 1:
            raise ConfigError(f"trainer.model.{name}={size} is not possible", exists="1 or more")


def _share(dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise ConfigError(
            f"trainer.model.dropout={dropout} is not possible", exists="0 or more, below 1"
        )
