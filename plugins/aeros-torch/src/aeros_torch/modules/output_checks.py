"""Losses that a module's outputs do not fit, and batches too small for it: refused at the start.

`nll` takes log-probabilities and `bce` probabilities; given anything else torch computes a
number that falls without end, or fails in the middle of a round. A module is tried once, on
examples drawn here: what it gives them shows whether it ends as the loss needs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from aeros_core.errors import ConfigError
from aeros_core.schema import Field
from aeros_torch.modules.early_exit import EarlyExit

__all__ = ["check_batches", "check_outputs"]

_EXAMPLES = 16
_SCALES = 1.0, 100.0
"""Of the numbers drawn: large ones show what is not bounded."""

_CLOSE = 1e-2
"""How far from 1 a sum of probabilities may be, in float32 or less."""


def check_outputs(module: nn.Module, field: Field, loss: str, log_input: bool = True) -> None:
    """Refuse a loss that the outputs of a module do not fit.

    Args:
        module: The module, in any mode.
        field: The feature that goes into it.
        loss: Name of the loss.
        log_input: Option of ``poisson_nll``: whether outputs are logarithms.

    Raises:
        ConfigError: They do not fit; names losses that do.
    """
    if loss == "poisson_nll" and not log_input:
        _demand(module, field, loss, _is_positive, "positive rates", "nn.Softplus()",
                "+trainer.loss_options.log_input=true")  # fmt: skip
    elif loss == "nll":
        _demand(module, field, loss, _is_log_probability, "log-probabilities of the classes",
                "nn.LogSoftmax(dim=1)", "trainer.loss=cross_entropy")  # fmt: skip
    elif loss == "bce":
        _demand(module, field, loss, _is_probability, "probabilities, 0 to 1", "nn.Sigmoid()",
                "trainer.loss=bce_with_logits")  # fmt: skip


def check_batches(module: nn.Module, field: Field, batch_size: int) -> None:
    """Refuse batches of one example where the module normalises over a batch.

    Args:
        module: The module; it is not changed.
        field: The feature that goes into it.
        batch_size: Examples in a batch.

    Raises:
        ConfigError: It cannot be trained on one example.
    """
    if batch_size > 1:
        return
    try:
        with torch.no_grad():
            copy.deepcopy(module).train()(next(_drawn(module, field))[:1])
    except ValueError as error:
        raise ConfigError(
            f"trainer.batch_size=1 is too small for {type(module).__name__}: {error}",
            exists="BatchNorm takes its statistics over the examples of a batch, 2 or more",
            provider="aeros-torch",
            hint="trainer.batch_size=2, or a trainer/model without BatchNorm",
        ) from error


def _demand(
    module: nn.Module,
    field: Field,
    loss: str,
    fits: Callable[[Tensor], bool],
    what: str,
    layer: str,
    instead: str,
) -> None:
    if all(map(fits, _outputs(module, field))):
        return
    raise ConfigError(
        f"trainer.loss={loss} takes {what}, which the outputs of {type(module).__name__} are not",
        exists=f"models that end with {layer}",
        provider="aeros-torch",
        hint=f"{instead}, or end the model with {layer}",
    )


def _outputs(module: nn.Module, field: Field) -> Iterator[Tensor]:
    """Yield what a module gives for drawn examples; an early exit gives its own outputs too."""
    before = module.training
    module.eval()
    with torch.no_grad():
        for examples in _drawn(module, field):
            heads = module.both(examples) if isinstance(module, EarlyExit) else (module(examples),)
            yield from (head.float() for head in heads if head.isfinite().all())
    module.train(before)


def _drawn(module: nn.Module, field: Field) -> Iterator[Tensor]:
    """Yield batches of examples, drawn apart from every stream of the task."""
    device = next(module.parameters()).device
    drawing = torch.Generator().manual_seed(0)
    shape = (_EXAMPLES, *(int(n or 1) for n in field.shape))
    dtype: Any = getattr(torch, field.dtype)
    if not dtype.is_floating_point:
        most = len(field.categories) if field.categories else 2
        yield torch.randint(most, shape, generator=drawing).to(dtype).to(device)
        return
    for scale in _SCALES:
        yield (scale * torch.randn(shape, generator=drawing)).to(dtype).to(device)


def _is_log_probability(output: Tensor) -> bool:
    return bool(((output.exp().sum(1) - 1).abs() < _CLOSE).all())


def _is_probability(output: Tensor) -> bool:
    return bool(((output >= 0) & (output <= 1)).all())


def _is_positive(output: Tensor) -> bool:
    return bool((output >= 0).all())
