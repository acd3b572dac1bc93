"""How much memory a client takes in training, and how much there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aeros_torch.engines.vectorised.stacked_module import StackedModule
from aeros_torch.training.context import TrainingContext

__all__ = ["bytes_of_one", "free_bytes", "is_out_of_memory"]

_UNKNOWN = 2 * 2**30
"""Bytes taken to be free where the system does not say."""


def bytes_of_one(context: TrainingContext, stacking: StackedModule, states: int) -> int:
    """Return what one client of a pack needs: weights, gradient, states and activations.

    Args:
        context: The network, and its batches.
        stacking: Trains it.
        states: Vectors that the optimizer keeps for each client.
    """
    vectors = 4 * context.network.layout.sizes["float32"] * (4 + states)
    return vectors + 2 * _activations(context, stacking)


def free_bytes(device: torch.device) -> int:
    """Return the bytes that are free on a device."""
    if device.type == "cuda":
        there, _ = torch.cuda.mem_get_info(device)
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return there + kept
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return _UNKNOWN
    sizes = dict(line.split(":", 1) for line in lines)
    return int(sizes["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in sizes else _UNKNOWN


def _activations(context: TrainingContext, stacking: StackedModule) -> int:
    """Return the bytes that one client's batch leaves for the backward pass."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    def give(tensor: Any) -> Any:
        return tensor

    weights = context.network.weights.detach()[None].clone()
    with torch.autograd.graph.saved_tensors_hooks(keep, give):
        stacking.gradients(
            stacking.leaves(weights), *stacking.example(context, context.recipe.batch_size), None
        )
    return sum(kept.values())


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an allocation failed, on the host or a device."""
    no_room = "can't allocate memory" in str(error)  # the host's allocator has no class of its own
    return isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)) or no_room
