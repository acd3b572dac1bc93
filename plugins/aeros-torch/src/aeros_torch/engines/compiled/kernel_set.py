"""The kernels of a network, and what they are told of its shape."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numba  # noqa: F401 - wholly before a part of it, or two threads may wait for one another
import numpy as np
from numba.core import event

from aeros_torch.engines.compiled.architecture import (
    LOSSES,
    Convolutions,
    DenseArchitecture,
    Recurrence,
)
from aeros_torch.kernels.pointwise import ACTIVATIONS

__all__ = ["KernelSet", "kernels", "watch"]

_log = logging.getLogger(__name__)


class _Notice(event.Listener):
    """Says once why nothing happens for a while; kernels read from disk are no reason."""

    def on_start(self, _event: Any) -> None:
        if not self.given:
            self.given = True
            _log.warning(
                "compiling kernels, once for this kind of model on this machine: 10 to 30 s"
                " (a short run may do without: trainer.engine=sequential)"
            )

    def on_end(self, _event: Any) -> None:
        """Say nothing."""

    given = False


@cache
def watch() -> None:
    """Have users told when kernels have to be compiled."""
    cast("Any", event).register("numba:compile", _Notice())


@dataclass(frozen=True, slots=True)
class KernelSet:
    """The loops of `training_loop`, and the network that they are to work on.

    Args:
        train: Trains clients.
        measure: Evaluates.
        shape: Their last arguments, which describe the network.
        work: Multiplications that training takes for an example.
    """

    train: Callable[..., None]
    measure: Callable[..., None]
    shape: tuple[Any, ...]
    work: float


def kernels(found: DenseArchitecture) -> KernelSet:
    """Return the kernels of a network; each kind is imported when it is needed."""
    from aeros_torch.engines.compiled import training_loop

    watch()
    widths = np.array(found.widths, np.int64)
    kinds = (ACTIVATIONS.index(found.activation.name), LOSSES.index(found.loss))
    weights = float(widths[:-1] @ widths[1:])
    trunk, work = _trunk(found.trunk)
    shape = (widths, kinds, trunk)
    return KernelSet(training_loop.train, training_loop.measure, shape, 3.0 * weights + work)


def _trunk(found: Convolutions | Recurrence | None) -> tuple[Any, float]:
    """Return a trunk as the loops take it, and the multiplications of training with it."""
    if isinstance(found, Convolutions):
        from aeros_torch.engines.compiled import convnet
        from aeros_torch.engines.compiled.convolution_plan import plan

        its = plan(found)
        return convnet.Trunk(its.layers, its.rooms, its.tables, found.side), its.work
    if isinstance(found, Recurrence):
        from aeros_torch.engines.compiled import lstm

        sizes = (found.inputs, found.hidden, found.layers)
        each = 4.0 * found.hidden * (found.inputs + (2 * found.layers - 1) * found.hidden)
        return lstm.Trunk(found.categories or 0, sizes), 3.0 * found.steps * each
    from aeros_torch.engines.compiled import mlp  # noqa: F401 - tells the loops what to do without a trunk

    return None, 0.0
