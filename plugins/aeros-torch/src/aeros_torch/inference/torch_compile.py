"""Modules that torch compiles when they are loaded."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["CompiledModule"]

log = logging.getLogger(__name__)


class CompiledModule:
    """A module compiled for batches of any size; eager where it cannot be.

    Compiling takes seconds and needs a C++ compiler; that it failed is said once in the
    log, and the module answers as it is.

    Args:
        module: The module, in evaluation mode.
        example: One example, (1, ...), on its device.
    """

    def __init__(self, module: nn.Module, example: Tensor):
        self._eager: Callable[[Tensor], Tensor] = module
        self._compiled: Any = None
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")  # torch of its own parts
                compiled = torch.compile(module, dynamic=True)
                compiled(torch.cat([example] * 3))
        except Exception as error:
            said = " ".join(str(error).split())[:200]
            log.warning(
                "%s is not compiled, and answers eagerly: %s: %s",
                type(module).__name__, type(error).__name__, said,
            )  # fmt: skip
        else:
            self._compiled = compiled

    @property
    def compiled(self) -> bool:
        """Whether it was compiled."""
        return self._compiled is not None

    def __call__(self, x: Tensor) -> Tensor:
        """Map (n, ...) to (n, outputs)."""
        if self._compiled is None or not len(x):
            return self._eager(x)
        rows = x if len(x) > 1 else torch.cat([x, x])  # one row would be compiled anew
        out: Tensor = self._compiled(rows)
        return out[: len(x)]
