"""A model for `accuracy.py` whose layers have what rules may leave on their node."""

import dataclasses
from dataclasses import dataclass

from torch import nn

from aeros_core.plugins.registry import Option, Plugin, Registry


@dataclass
class Normalised:
    """A dense layer, batch normalisation, and a layer that answers."""

    _target_: str = "accuracy_models.Network"
    hidden: int = 32


class Network(nn.Module):
    """784-32-10 with its normalisation called ``norm`` and its last layer ``head``."""

    def __init__(self, *, inputs, outputs, hidden):
        super().__init__()
        self.flat = nn.Flatten()
        size = 1
        for length in inputs:
            size *= length
        self.dense = nn.Linear(size, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x):
        """Map (n, height, width) to (n, outputs)."""
        return self.head(self.norm(self.dense(self.flat(x))).relu())


def added(registry: Registry) -> Registry:
    """Return the registry with ``trainer/model=normalised``."""
    own = Plugin("accuracy", "accuracy.py", "0", "accuracy_models")
    option = Option("trainer/model", "normalised", Normalised, own)
    return dataclasses.replace(
        registry, options={**registry.options, ("trainer/model", "normalised"): option}
    )
