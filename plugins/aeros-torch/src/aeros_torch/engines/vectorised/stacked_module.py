"""One module with the weights of many clients at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from aeros_torch.modules.flat_module import FlatModule
from aeros_torch.modules.precision import computing
from aeros_torch.training.context import TrainingContext

__all__ = ["StackedModule", "stackable"]


class StackedModule:
    """A module over stacked weights (clients, size), differentiated for all at once.

    Only the forward pass is mapped over clients; the backward pass is that of the batched
    operators it is made of.

    Args:
        context: The module and its loss.
    """

    def __init__(self, context: TrainingContext):
        self._module, self._loss = context.network.module, context.criterion
        self._precision, self._device = context.recipe.precision, context.network.device
        named = {n: p for n, p in self._module.named_parameters() if p.requires_grad}
        self._names = tuple(named)
        self._shapes = [parameter.shape for parameter in named.values()]
        self._whole = vmap(self._mean)
        self._part = vmap(self._weighted)

    def leaves(self, weights: Tensor) -> list[Tensor]:
        """Return each parameter of all clients, as views that gradients are taken of.

        Args:
            weights: Flat weights (clients, size), changed in place between two calls.
        """
        parts = torch.split(weights.detach(), [shape.numel() for shape in self._shapes], dim=1)
        return [
            part.view(len(part), *shape).requires_grad_()
            for part, shape in zip(parts, self._shapes, strict=True)
        ]

    @staticmethod
    def example(context: TrainingContext, size: int) -> tuple[Tensor, Tensor]:
        """Return a batch of one client, all zeros (1, size, ...), and its targets."""
        field, device, outputs = (
            context.schema.features[0],
            context.network.device,
            context.feed.outputs,
        )
        shape = [int(length or 0) for length in field.shape]
        x = torch.zeros((1, size, *shape), dtype=getattr(torch, field.dtype), device=device)
        if outputs is None:
            return x, torch.zeros((1, size), dtype=torch.int64, device=device)
        return x, torch.zeros((1, size, outputs), device=device)

    def gradients(
        self, leaves: Sequence[Tensor], examples: Tensor, targets: Tensor, shares: Tensor | None
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """Return each client's mean loss (clients,) and its gradient for each parameter.

        Args:
            leaves: What `leaves` returned.
            examples: A batch of each client (clients, batch, ...).
            targets: Their targets (clients, batch, ...).
            shares: Weight of each example in its client's mean (clients, batch), 0 where
                there is none; None: all the same.
        """
        with torch.enable_grad(), computing(self._device, self._precision):
            if shares is None:
                losses = self._whole(tuple(leaves), examples, targets)
            else:
                losses = self._part(tuple(leaves), examples, targets, shares)
            found = torch.autograd.grad(
                losses.sum(), leaves, allow_unused=True, materialize_grads=True
            )
        return losses.detach(), found

    def _mean(self, tensors: tuple[Tensor, ...], examples: Tensor, targets: Tensor) -> Tensor:
        return self._loss(self._answer(tensors, examples), targets)

    def _weighted(
        self, tensors: tuple[Tensor, ...], examples: Tensor, targets: Tensor, shares: Tensor
    ) -> Tensor:
        def of_one(output: Tensor, target: Tensor) -> Tensor:
            return self._loss(output[None], target[None])

        losses: Tensor = vmap(of_one)(self._answer(tensors, examples), targets)
        return (losses * shares).sum()

    def _answer(self, tensors: tuple[Tensor, ...], examples: Tensor) -> Any:
        given = dict(zip(self._names, tensors, strict=True))
        return functional_call(self._module, given, (examples,))


def stackable(context: TrainingContext) -> str:
    """Return why a module cannot be trained over stacked weights; "" if it can."""
    network = context.network
    if network.needs_pairs:
        return "the model has BatchNorm"
    if any(_drops(part) for part in network.module.modules()):
        return "the model has dropout, which is drawn for each client on its own"
    if dict(network.layout.sizes).keys() != {"float32"}:
        return "the model has tensors that are not float32"
    if any(True for _ in network.module.buffers()):
        return "the model has buffers, which a batch may change"
    return _attempted(lambda: _compare(context))


def _drops(part: nn.Module) -> bool:
    share = getattr(part, "p" if isinstance(part, nn.modules.dropout._DropoutNd) else "dropout", 0)
    return isinstance(share, float) and share > 0


def _attempted(trial: Callable[[], str]) -> str:
    """Try two clients of two examples; a fallback that loops over clients is a warning."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return trial()
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, Warning) as error:
        return f"torch.func cannot map it: {' '.join(str(error).split()).partition('.')[0]}"


def _compare(context: TrainingContext) -> str:
    """Compare clients of two examples, zeros and ones, with one such client alone.

    One of them has a row too many, of weight 0: what it holds must not matter.
    """
    network, stacking = context.network, StackedModule(context)
    zeros, targets = StackedModule.example(context, 3)
    field = context.schema.features[0]
    ones = zeros + (min(1, len(field.categories) - 1) if field.categories else 1)
    x, y = torch.cat([zeros[:, :1], ones[:, :2]], dim=1).expand(2, *ones.shape[1:]), targets[[0, 0]]
    shares = torch.tensor([[0.5, 0.5, 0.0]] * 2, device=network.device)
    with torch.random.fork_rng(devices=[]):
        network.module.train()
        leaves = stacking.leaves(network.weights.detach().expand(2, -1).clone())
        _, whole = stacking.gradients(leaves, x[:, :2], y[:, :2], None)
        _, part = stacking.gradients(leaves, x, y, shares)
        alone = _alone(network, context, x[0, :2], y[0, :2])
    expected = [torch.stack([gradient] * 2) for gradient in alone]
    if all(map(_close, whole, expected)) and all(map(_close, part, expected)):
        return ""
    return "mapped over clients it does something else"


def _close(found: Tensor, expected: Tensor) -> bool:
    """Tell whether gradients agree as far as bfloat16 lets them."""
    return torch.allclose(found, expected, rtol=0.05, atol=1e-3)


def _alone(network: FlatModule, context: TrainingContext, x: Tensor, y: Tensor) -> Sequence[Tensor]:
    with torch.enable_grad(), computing(network.device, context.recipe.precision):
        loss = context.criterion(network.module(x), y)
        return torch.autograd.grad(
            loss, network.parameters, allow_unused=True, materialize_grads=True
        )
