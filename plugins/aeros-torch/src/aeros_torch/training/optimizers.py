"""torch's optimizers by name, stepping over one flat vector."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from aeros_core.errors import ConfigError
from aeros_torch.modules.flat_module import FlatModule
from aeros_torch.modules.torch_lookup import call, check_options, find, option_names
from aeros_torch.training.flat_optimizers import (
    FlatGradient,
    FlatOptimizer,
    PlainSgd,
    Sgd,
    TorchOptimizer,
)

__all__ = ["OPTIMIZERS", "Optimizer"]

OPTIMIZERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    name: cls
    for name, cls in vars(torch.optim).items()
    if inspect.isclass(cls)
    and issubclass(cls, torch.optim.Optimizer)
    and cls is not torch.optim.Optimizer
}
"""torch's optimizers by name."""

_ELEMENTWISE = {
    "ASGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "LBFGS", "NAdam", "RAdam",
    "RMSprop", "Rprop", "SGD",
}  # fmt: skip
"""What they do to a tensor does not depend on its shape (LBFGS flattens by itself)."""

_SET_BY_TRAINER = ("params", "lr", "momentum", "weight_decay")
_SWITCHES = ("foreach", "fused", "capturable", "differentiable")


class Optimizer:
    """An optimizer by name, checked before any model is there.

    Args:
        name: Name of a class of ``torch.optim``, in any case.
        lr: Learning rate to check it with.
        momentum: None: what the optimizer does by itself.
        weight_decay: None: what the optimizer does by itself.
        options: Further options of the class.

    Raises:
        ConfigError: There is no such optimizer or option, or torch refuses its value.
    """

    def __init__(
        self,
        name: str,
        lr: float,
        momentum: float | None,
        weight_decay: float | None,
        options: Mapping[str, Any],
    ):
        self._cls = find("trainer.optimizer", name, OPTIMIZERS)
        self._name = next(name for name, cls in OPTIMIZERS.items() if cls is self._cls)
        if self._name == "SparseAdam":
            raise ConfigError(
                "trainer.optimizer=SparseAdam needs sparse gradients, and those here are dense",
                exists=", ".join(sorted(set(OPTIMIZERS) - {"SparseAdam"})),
                hint="trainer.optimizer=Adam",
            )
        known = option_names(self._cls, (*_SET_BY_TRAINER, *_SWITCHES))
        hint = "lr, momentum and weight_decay are the trainer's own: trainer.lr=0.1"
        given = check_options("trainer.optimizer_options", self._name, options, known, hint)
        self._options = given | self._own(momentum=momentum, weight_decay=weight_decay)
        if not self._plain:
            self._attempt(lr)

    def _own(self, **values: float | None) -> dict[str, float]:
        """Return those of the trainer's own options that are set."""
        known = inspect.signature(self._cls).parameters
        for option, value in values.items():
            if value is not None and not 0 <= value < math.inf:
                raise ConfigError(f"trainer.{option}={value} is not possible", exists="0 or more")
            if value and option not in known:
                having = [
                    n for n, c in OPTIMIZERS.items() if option in inspect.signature(c).parameters
                ]
                raise ConfigError(
                    f"trainer.{option}={value} is not possible: {self._name} has no {option}",
                    exists=f"optimizers that have it: {', '.join(sorted(having))}",
                    hint=f"trainer.{option}=null",
                )
        return {o: v for o, v in values.items() if v is not None and o in known}

    @property
    def name(self) -> str:
        """Name of the class."""
        return self._name

    @property
    def sgd(self) -> Mapping[str, Any] | None:
        """Options of an SGD that `flat_optimizers.Sgd` does; None if it is something else."""
        known = self._name == "SGD" and set(self._options) <= Sgd.options
        return self._options if known else None

    @property
    def options(self) -> Mapping[str, Any]:
        """What is set, of the class's own options and of the trainer's."""
        return self._options

    @property
    def rule(self) -> Mapping[str, Any] | None:
        """Options of any SGD; None if it is something else."""
        return self._options if self._name == "SGD" else None

    @property
    def _plain(self) -> bool:
        """Whether this is an SGD that needs no trying out.

        Making any optimizer imports torch's compiler, which takes longer than torch itself.
        """
        options = self.sgd or {}
        numbers = [v for v in options.values() if isinstance(v, (int, float)) and 0 <= v < math.inf]
        nesterov = options.get("nesterov", False) is not False
        return self.sgd is not None and len(numbers) == len(options) and not nesterov

    def _attempt(self, lr: float) -> None:
        weights = nn.Parameter(torch.zeros(2, 2))
        call(f"trainer.optimizer={self._name}", self._cls, [weights], lr=lr, **self._options)

    def start(self, network: FlatModule, slope: FlatGradient, lr: float) -> FlatOptimizer:
        """Return the steps of a round that begins with these weights."""
        if (options := self.sgd) is not None:
            if slope.plain and not any(options.values()):
                return PlainSgd(network, lr)
            return Sgd(network, slope, lr, **options)
        if self._name in _ELEMENTWISE:
            flat = nn.Parameter(network.weights)
            flat.grad = slope.vector
            return TorchOptimizer(slope, [self._cls([flat], lr=lr, **self._options)])
        return TorchOptimizer(slope, self._per_tensor(network, slope, lr))

    def _per_tensor(
        self, network: FlatModule, slope: FlatGradient, lr: float
    ) -> list[torch.optim.Optimizer]:
        parameters = network.parameters
        parts = torch.split(slope.vector, [parameter.numel() for parameter in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view(parameter.shape)
        if self._name != "Muon":
            return [self._cls(parameters, lr=lr, **self._options)]
        return self._muon(parameters, lr)

    def _muon(self, parameters: list[nn.Parameter], lr: float) -> list[torch.optim.Optimizer]:
        """Return Muon for the matrices and AdamW for the rest, as its authors use it.

        Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/
        """
        matrices = [parameter for parameter in parameters if parameter.ndim == 2]
        others = [parameter for parameter in parameters if parameter.ndim != 2]
        decay = {name: v for name, v in self._options.items() if name == "weight_decay"}
        made = [self._cls(matrices, lr=lr, **self._options)] if matrices else []
        return [*made, torch.optim.AdamW(others, lr=lr, **decay)] if others else made
