"""The kernels of a network, and what they are told of its shape."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
from numba.core import event

from aeros_core.parameters import Array
from aeros_torch.pointwise import ACTIVATIONS
from aeros_torch.stack import LOSSES, Convolutions, Recurrence, Stack

__all__ = ["Kernels", "kernels", "watch"]

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
class Kernels:
    """Kernels with the signatures of `dense.train` and `dense.measure`.

    Args:
        train: Trains clients.
        measure: Evaluates.
        shape: Arguments of both that describe the network.
        work: Multiplications that training takes for an example.
    """

    train: Callable[..., None]
    measure: Callable[..., None]
    shape: tuple[Any, ...]
    work: float


def kernels(found: Stack) -> Kernels:
    """Return the kernels of a network; each kind is imported when it is needed."""
    watch()
    widths = np.array(found.widths, np.int64)
    kinds = (ACTIVATIONS.index(found.activation.name), LOSSES.index(found.loss))
    weights = float(widths[:-1] @ widths[1:])
    if isinstance(found.trunk, Convolutions):
        return _convnet(found.trunk, widths, kinds, 3.0 * weights)
    if isinstance(found.trunk, Recurrence):
        return _lstm(found.trunk, widths, kinds, 3.0 * weights)
    from aeros_torch import dense

    return Kernels(dense.train, dense.measure, (widths, kinds), 3.0 * weights)


def _convnet(trunk: Convolutions, widths: Array, kinds: tuple[int, int], work: float) -> Kernels:
    from aeros_torch import convnet
    from aeros_torch.plan import plan

    its = plan(trunk)
    shape = (widths, kinds, its.layers, its.rooms, its.tables, trunk.side)
    return Kernels(convnet.train, convnet.measure, shape, work + its.work)


def _lstm(trunk: Recurrence, widths: Array, kinds: tuple[int, int], work: float) -> Kernels:
    from aeros_torch import lstm

    sizes = (trunk.inputs, trunk.hidden, trunk.layers)
    each = 4.0 * trunk.hidden * (trunk.inputs + (2 * trunk.layers - 1) * trunk.hidden)
    shape = (widths, kinds, trunk.categories or 0, sizes)
    return Kernels(lstm.train, lstm.measure, shape, work + 3.0 * trunk.steps * each)
