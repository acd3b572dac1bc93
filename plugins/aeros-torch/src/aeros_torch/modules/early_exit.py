"""Models that can answer behind one of their layers: what is sure leaves early.

Teerapittayanon, McDanel and Kung 2016, "BranchyNet: Fast Inference via Early Exiting from
Deep Neural Networks", arXiv:1709.01686, with one exit. Its threshold is one of entropy; here
whoever asks decides by the highest score (``inferencer=switch``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from aeros_core.errors import ConfigError
from aeros_core.schema import Field
from aeros_torch.config import Activation
from aeros_torch.modules.losses import LossFunction
from aeros_torch.modules.models import dense

__all__ = ["EarlyExit"]


class EarlyExit(nn.Module):
    """A trunk with an exit; options as `config.EarlyExit`.

    In training it gives both answers, (n, 2, outputs), the whole's first; else the whole's
    alone, and the exit costs nothing.

    Args:
        categories: Number of codes, where the trunk takes codes.

    Raises:
        ConfigError: There is no such layer, it gives no tensor, the weight is not above 0, or
            the trunk has an exit itself.
    """

    def __init__(
        self,
        *,
        inputs: tuple[int, ...],
        outputs: int,
        categories: int | None,
        trunk: Callable[..., nn.Module],
        at: str,
        hidden: Sequence[int],
        weight: float,
        joint: bool,
    ):
        super().__init__()
        if not 0 < weight < float("inf"):
            raise ConfigError(f"trainer.model.weight={weight} is not possible", exists="above 0")
        codes = "categories" in inspect.signature(trunk).parameters
        given = {"categories": categories} if codes else {}
        self.trunk = trunk(inputs=inputs, outputs=outputs, **given)  # first: drawn as if alone
        if isinstance(self.trunk, EarlyExit):
            raise ConfigError(
                "trainer.model.trunk=early_exit is not possible: one exit is all there is",
                hint="trainer/model@trainer.model.trunk=cnn",
            )
        self.at, self.weight, self.joint = at, weight, joint
        kind = torch.int64 if codes and categories is not None else torch.float32
        width = self._width(torch.zeros((1, *inputs), dtype=kind))
        self.exit = dense(width, hidden, outputs, Activation.relu, 0.0)

    def _width(self, example: Tensor) -> int:
        layers = dict(self.trunk.named_modules())
        if not self.at or self.at not in layers:
            raise ConfigError(
                f"trainer.model.at={self.at} is no layer of {type(self.trunk).__name__}",
                exists=", ".join(name for name in layers if name),
                hint="trainer.model.at=<a layer>",
            )
        before = self.trunk.training
        with torch.no_grad():
            _, seen = self._passed(example, self.trunk.eval())
        self.trunk.train(before)
        if not isinstance(seen, Tensor) or not len(seen):
            raise ConfigError(
                f"trainer.model.at={self.at} is a layer that gives no tensor of examples",
                hint="name another layer",
            )
        return seen[0].numel()

    def _passed(self, x: Tensor, trunk: Callable[[Tensor], Tensor]) -> tuple[Tensor, Any]:
        """Return what the trunk answers, and what the layer of the exit gave on the way."""
        seen: list[Any] = []
        layer = self.trunk.get_submodule(self.at)
        handle = layer.register_forward_hook(lambda _layer, _inputs, given: seen.append(given))
        try:
            whole = trunk(x)
        finally:
            handle.remove()
        return whole, seen[-1] if seen else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, ...) to (n, outputs); while training to (n, 2, outputs)."""
        if not self.training:
            answer: Tensor = self.trunk(x)
            return answer
        return torch.stack(self.both(x), 1)

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the whole answers and what the exit answers, (n, outputs) each."""
        whole, seen = self._passed(x, self.trunk)
        early: Tensor = self.exit((seen if self.joint else seen.detach()).flatten(1))
        return whole, early

    def criterion(self, loss: LossFunction, target: Field) -> LossFunction:
        """Return the loss of both answers while training, and of the whole's else.

        Raises:
            ConfigError: The target is a number, of which no answer is ever sure.
        """
        if target.categories is None:
            raise ConfigError(
                f"trainer/model=early_exit answers classes it is sure of, and '{target.name}'"
                " is a number",
                hint="trainer/model=mlp, or another model without an exit",
            )

        def of_both(output: Tensor, targets: Tensor) -> Tensor:
            if output.ndim < 3:
                return loss(output, targets)
            return loss(output[:, 0], targets) + self.weight * loss(output[:, 1], targets)

        return of_both
