"""Losses by name: those of ``torch.nn.functional`` that need an output and a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the name it goes by

from aeros_core.errors import ConfigError
from aeros_core.schema import Field
from aeros_torch.modules.torch_lookup import call, check_options, find, option_names

__all__ = ["CLASS_LOSSES", "NUMBER_LOSSES", "Loss", "LossFunction"]

LossFunction: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Maps a module's output and the targets of a batch to their mean loss, a scalar."""

CLASS_LOSSES: Mapping[str, Callable[..., Tensor]] = {
    "cross_entropy": F.cross_entropy,
    "multi_margin": F.multi_margin_loss,
    "nll": F.nll_loss,
}
"""Losses of class scores (examples, classes) against codes (examples,)."""

NUMBER_LOSSES: Mapping[str, Callable[..., Tensor]] = {
    "bce": F.binary_cross_entropy,
    "bce_with_logits": F.binary_cross_entropy_with_logits,
    "huber": F.huber_loss,
    "l1": F.l1_loss,
    "mse": F.mse_loss,
    "poisson_nll": F.poisson_nll_loss,
    "smooth_l1": F.smooth_l1_loss,
    "soft_margin": F.soft_margin_loss,
}
"""Losses of values (examples, values) against values; of classes: one-hot."""

_HIDDEN = (
    "input", "target", "weight", "pos_weight", "size_average", "ignore_index", "reduce",
    "reduction",
)  # fmt: skip


class Loss:
    """A loss by name, checked before any data is there.

    Args:
        name: A name of `CLASS_LOSSES` or `NUMBER_LOSSES`; ``auto``: by the target.
        options: Options of that function.

    Raises:
        ConfigError: There is no such loss or option, or torch refuses its value.
    """

    def __init__(self, name: str, options: Mapping[str, Any]):
        self._name = "auto" if name.lower() == "auto" else _name(name)
        if self._name == "auto":
            self._options = check_options("trainer.loss_options", "loss auto", options, ())
            return
        known = option_names(_function(self._name), _HIDDEN)
        self._options = check_options("trainer.loss_options", self._name, options, known)
        _try(self._name, self._options)

    def plain(self, target: Field) -> str | None:
        """Return the name of the loss for this target; None if it has options."""
        if self._name != "auto":
            return None if self._options else self._name
        return self.name(target)

    def name(self, target: Field) -> str:
        """Return the name of the loss for this target."""
        if self._name != "auto":
            return self._name
        return "mse" if target.categories is None else "cross_entropy"

    @property
    def options(self) -> Mapping[str, Any]:
        """Options of the function, as they were given."""
        return self._options

    def of(self, target: Field) -> LossFunction:
        """Return the loss for this target.

        Raises:
            ConfigError: The loss is one of classes, and the target is a number, or has one
                class; or one of probabilities, and the target has values beyond 0 to 1.
        """
        classes = None if target.categories is None else len(target.categories)
        name = self.name(target)
        _check_target(name, target)
        function = _bound(name, self._options)
        if name in NUMBER_LOSSES:
            return function if classes is None else partial(_one_hot, function, classes)
        if classes is None:
            raise ConfigError(
                f"trainer.loss={name} is a loss of classes, and '{target.name}' is a number",
                exists=", ".join(sorted(NUMBER_LOSSES)),
                hint="trainer.loss=mse",
            )
        return function


def _check_target(name: str, target: Field) -> None:
    """Refuse targets on which a loss is constant, or of which it makes no sense."""
    if name in CLASS_LOSSES and target.categories is not None and len(target.categories) < 2:
        raise ConfigError(
            f"trainer.loss={name} of one class is the same whatever the model gives:"
            f" '{target.name}' has {len(target.categories)}",
            exists="targets of two classes or more, or numbers",
            provider="aeros-torch",
            hint="data with two classes, or a target that is a number and trainer.loss=mse",
        )
    low, high = target.range or (0.0, 1.0)
    if name in ("bce", "bce_with_logits") and target.categories is None and (low < 0 or high > 1):
        raise ConfigError(
            f"trainer.loss={name} takes targets from 0 to 1, and '{target.name}' has {low:g} to"
            f" {high:g}",
            exists="huber, l1, mse, smooth_l1 for such numbers",
            provider="aeros-torch",
            hint="trainer.loss=mse",
        )


def _name(asked: str) -> str:
    known = {name: name for name in (*CLASS_LOSSES, *NUMBER_LOSSES)}
    short = asked.lower().removesuffix("_loss")
    return find("trainer.loss", short, {**known, "auto": "auto"})


def _function(name: str) -> Callable[..., Tensor]:
    return CLASS_LOSSES[name] if name in CLASS_LOSSES else NUMBER_LOSSES[name]


def _bound(name: str, options: Mapping[str, Any]) -> LossFunction:
    function = _function(name)
    return partial(function, **options) if options else function


def _one_hot(function: LossFunction, classes: int, output: Tensor, target: Tensor) -> Tensor:
    return function(output, F.one_hot(target, classes).to(output.dtype))


def _try(name: str, options: Mapping[str, Any]) -> None:
    output = torch.full((2, 3), 0.5)
    target = torch.zeros(2, dtype=torch.int64) if name in CLASS_LOSSES else output
    call(f"trainer.loss={name}", _function(name), output, target, **options)
